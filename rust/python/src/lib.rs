//! The binding: everything here converts, and nothing decides.

#![allow(clippy::needless_pass_by_value)] // PyO3 hands arguments over by value

mod build;
mod dataset;
mod encoder;
mod error;
mod job;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::build::{build, find_leaks, plan, qwen_tokenizer_json, recipes};
    #[pymodule_export]
    use super::dataset::{PackedFiles, rows_in_order};
    #[pymodule_export]
    use super::encoder::PyEncoder;

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // the name that Python expects
    const __version__: &str = env!("CARGO_PKG_VERSION");
    /// How the name of an index of shards ends.
    #[pymodule_export]
    const INDEX_SUFFIX: &str = apollo_pack_core::file::INDEX_SUFFIX;
}
