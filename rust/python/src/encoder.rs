//! The encoder on its own.

use apollo_pack_core::encode::{Encoder, SpecialTokens, encode_batch, load_encoder};
use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyList;

use crate::build::choose;
use crate::error::{ConfigError, TokenizerError};

/// A tokenizer's encoder; see `apollo_pack.Encoder`.
#[pyclass(frozen, name = "Encoder")]
pub(crate) struct PyEncoder {
    encoder: Box<dyn Encoder>,
    why_not_native: Option<String>,
}

type Encoded<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<u64>>);

#[pymethods]
impl PyEncoder {
    #[new]
    fn new(py: Python<'_>, label: &str, tokenizer_json: &[u8], special_tokens: &str) -> PyResult<Self> {
        let special_tokens = choose(
            "special_tokens",
            special_tokens,
            &[("text", SpecialTokens::Text), ("parse", SpecialTokens::Parse)],
        )?;
        let loaded = py
            .detach(|| load_encoder(tokenizer_json, special_tokens))
            .map_err(|error| TokenizerError::new_err(format!("tokenizer {label}: {error}")))?;
        Ok(Self { encoder: loaded.encoder, why_not_native: loaded.why_not_native })
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.encoder.name()
    }

    #[getter]
    fn why_not_native(&self) -> Option<&str> {
        self.why_not_native.as_deref()
    }

    fn encode<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let mut ids = Vec::new();
        py.detach(|| self.encoder.session().encode(text, &[], &mut ids))
            .map_err(|error| TokenizerError::new_err(error.to_string()))?;
        ids.shrink_to_fit(); // who keeps many short ones should not keep the room beside them
        Ok(ids.into_pyarray(py))
    }

    /// Encodes a list of texts.
    #[pyo3(signature = (texts, num_threads=None))]
    fn encode_list<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyList>,
        num_threads: Option<usize>,
    ) -> PyResult<Encoded<'py>> {
        let text = |(i, text): (usize, Bound<'py, PyAny>)| {
            text.extract::<PyBackedStr>().map_err(|error| {
                // What it is stays, and where it is comes with it.
                let noted =
                    error.value(py).call_method1("add_note", (format!("it is text {i} of the list"),));
                noted.err().unwrap_or(error)
            })
        };
        let texts = texts.iter().enumerate().map(text).collect::<PyResult<Vec<_>>>()?;
        self.encode_all(py, &texts.iter().map(|text| &**text).collect::<Vec<_>>(), num_threads)
    }

    /// Encodes texts that stand in one buffer of UTF-8, each from one offset to the next.
    #[pyo3(signature = (buffer, offsets, num_threads=None))]
    fn encode_buffer<'py>(
        &self,
        py: Python<'py>,
        buffer: PyReadonlyArray1<'py, u8>,
        offsets: PyReadonlyArray1<'py, u64>,
        num_threads: Option<usize>,
    ) -> PyResult<Encoded<'py>> {
        // Copied: another thread may write to the array while the interpreter is let go of.
        let (Ok(buffer), Ok(offsets)) = (buffer.to_vec(), offsets.to_vec()) else {
            return Err(ConfigError::new_err("buffer and offsets must be contiguous"));
        };
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        // Where there is no text, there is an offset all the same.
        if let Some(&first) = offsets.first().filter(|first| bound(**first) > buffer.len()) {
            return Err(ConfigError::new_err(format!(
                "offsets begin at {first}, beyond a buffer of {} bytes",
                buffer.len()
            )));
        }
        let text = |(i, pair): (usize, &[u64])| {
            let bytes = buffer.get(bound(pair[0])..bound(pair[1])).ok_or_else(|| {
                ConfigError::new_err(format!(
                    "the offsets {} and {} of text {i} do not lie in order in a buffer of {} bytes",
                    pair[0],
                    pair[1],
                    buffer.len()
                ))
            })?;
            std::str::from_utf8(bytes).map_err(|error| {
                ConfigError::new_err(format!("text {i} is not valid UTF-8 at byte {}", error.valid_up_to()))
            })
        };
        let texts = offsets.windows(2).enumerate().map(text).collect::<PyResult<Vec<_>>>()?;
        self.encode_all(py, &texts, num_threads)
    }
}

impl PyEncoder {
    fn encode_all<'py>(
        &self,
        py: Python<'py>,
        texts: &[&str],
        num_threads: Option<usize>,
    ) -> PyResult<Encoded<'py>> {
        let encoded = py
            .detach(|| encode_batch(self.encoder.as_ref(), texts, num_threads))
            .map_err(|error| TokenizerError::new_err(error.to_string()))?;
        py.check_signals()?; // a Ctrl-C meanwhile has to be raised before Python is called again
        Ok((encoded.ids.into_pyarray(py), encoded.offsets.into_pyarray(py)))
    }
}
