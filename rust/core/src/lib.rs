//! The road of the data, from raw multilingual text to packed training rows, and back out of the file.
//!
//! ```text
//! discover → read → render → encode → spool → plan → gather → file    pipeline::build
//!                                                        file → rows  serve::RowSet
//! ```
//!
//! Each step takes the named type of the step before it and can be called and tested alone. Encoding and
//! packing know nothing of files; the writer knows nothing of text.

#[cfg(target_endian = "big")]
compile_error!("files and spools are little-endian and read without conversion");

pub mod discover;
pub mod disk;
pub mod encode;
mod error;
pub mod file;
pub mod leakage;
mod ledger;
mod memory;
pub mod pipeline;
pub mod plan;
pub mod read;
pub mod recipe;
pub mod render;
pub mod serve;
pub mod spool;
pub mod tokenizer;

pub use error::{Error, InputError, Result};
pub use ledger::{DropReason, Entry, Ledger, LedgerEntry};
