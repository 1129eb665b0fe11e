//! Reading packed files.

use std::path::PathBuf;
use std::sync::Arc;

use apollo_pack_core::Error;
use apollo_pack_core::file::{PackedFile, verify};
use apollo_pack_core::pipeline::{Monitor, check_against};
use numpy::{Element, IntoPyArray, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pythonize::pythonize;

use crate::build::{FoundTokenizer, report_progress, source};
use crate::error::{ConfigError, to_python};
use crate::job;

/// One or more packed files as one sequence of rows.
#[pyclass(frozen)]
pub(crate) struct PackedFiles {
    files: Vec<Arc<PackedFile>>,
    /// For each file, the number of rows before it.
    starts: Vec<usize>,
    rows: usize,
    seq_len: usize,
}

#[pymethods]
impl PackedFiles {
    #[new]
    fn new(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Self> {
        let open =
            || paths.iter().map(|path| PackedFile::open(path).map(Arc::new)).collect::<Result<Vec<_>, _>>();
        let files = py.detach(open).map_err(to_python)?;
        let Some(first) = files.first() else {
            return Err(ConfigError::new_err("name at least one packed file"));
        };
        let seq_len = first.seq_len();
        let tokenizer = &first.metadata().tokenizer;
        for file in &files {
            if file.seq_len() != seq_len || file.metadata().tokenizer != *tokenizer {
                return Err(ConfigError::new_err(format!(
                    "{} and {} are not of one kind: seq_len and tokenizer have to be the same",
                    first.path().display(),
                    file.path().display()
                )));
            }
        }
        let mut starts = Vec::with_capacity(files.len());
        let mut rows = 0;
        for file in &files {
            starts.push(rows);
            rows += file.rows();
        }
        Ok(Self { files, starts, rows, seq_len })
    }

    fn __len__(&self) -> usize {
        self.rows
    }

    #[getter]
    fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// The metadata of each file, as JSON.
    fn metadata_json<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.files.iter().map(|file| PyBytes::new(py, file.metadata_json())).collect()
    }

    /// The root hash of each file.
    fn root_hashes(&self) -> Vec<String> {
        self.files.iter().map(|file| file.root_hash()).collect()
    }

    /// The chosen columns of the chosen rows: arrays of shape (rows, `seq_len`).
    fn read<'py>(
        &self,
        py: Python<'py>,
        rows: Vec<usize>,
        columns: Vec<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let batch = PyDict::new(py);
        for column in columns {
            let array = match column.as_str() {
                "input_ids" => self.column::<i64>(py, &rows, PackedFile::input_ids),
                "labels" => self.column::<i64>(py, &rows, PackedFile::labels),
                "position_ids" => self.column::<i64>(py, &rows, PackedFile::position_ids),
                "segment_ids" => self.column::<i64>(py, &rows, PackedFile::segment_ids),
                "attention_mask" => self.column::<i64>(py, &rows, PackedFile::attention_mask),
                "loss_mask" => self.column::<bool>(py, &rows, PackedFile::loss_mask),
                _ => Err(ConfigError::new_err(format!("there is no column {column:?}"))),
            };
            batch.set_item(column, array?)?;
        }
        Ok(batch)
    }

    /// The segments of a row, a dict each.
    fn documents<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let (file, row) = self.locate(row)?;
        Ok(pythonize(py, &file.documents(row).map_err(to_python)?)?)
    }

    /// Checks every bit of all files and what it means; a dict for each file.
    #[pyo3(signature = (on_progress=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let monitor = Arc::new(Monitor::default());
        let (files, starts) = (self.files.clone(), self.starts.clone());
        let total = self.rows;
        let checked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&checked);
        let verified = job::run(
            py,
            &monitor,
            move |monitor| {
                let verify_file = |before: &usize, file: &Arc<PackedFile>| {
                    verify(file, |row| {
                        seen.store(before + row, std::sync::atomic::Ordering::Relaxed);
                        monitor.check()
                    })
                };
                let files = starts.iter().zip(&files);
                files.map(|(before, file)| verify_file(before, file)).collect::<Result<Vec<_>, Error>>()
            },
            |_| match &on_progress {
                Some(callback) => {
                    callback.call1((checked.load(std::sync::atomic::Ordering::Relaxed), total)).map(|_| ())
                }
                None => Ok(()),
            },
        )?;
        Ok(pythonize(py, &verified)?)
    }

    /// Compares rows (all by default) of the first file with its corpus; a dict.
    #[pyo3(signature = (corpus, tokenizer, rows=None, on_progress=None))]
    fn check_against<'py>(
        &self,
        py: Python<'py>,
        corpus: PathBuf,
        tokenizer: FoundTokenizer,
        rows: Option<usize>,
        on_progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let monitor = Arc::new(Monitor::default());
        let watched = Arc::clone(&monitor);
        let file = Arc::clone(&self.files[0]); // there is at least one
        let agreement = job::run(
            py,
            &monitor,
            move |monitor| check_against(&file, &corpus, source(tokenizer), rows, monitor),
            |py| report_progress(py, &watched, on_progress.as_ref()),
        )?;
        Ok(pythonize(py, &agreement)?)
    }
}

impl PackedFiles {
    fn locate(&self, row: usize) -> PyResult<(&PackedFile, usize)> {
        let after = self.starts.partition_point(|start| *start <= row);
        match after.checked_sub(1).and_then(|i| Some((self.files.get(i)?, self.starts.get(i)?))) {
            Some((file, start)) if row < self.rows => Ok((file, row - start)),
            _ => Err(ConfigError::new_err(format!("there is no row {row}"))),
        }
    }

    fn column<'py, T: Element + Copy + Default + Send>(
        &self,
        py: Python<'py>,
        rows: &[usize],
        fill: impl Fn(&PackedFile, usize, &mut [T]) -> Result<(), Error> + Sync,
    ) -> PyResult<Bound<'py, PyAny>> {
        let places: Vec<(&PackedFile, usize)> =
            rows.iter().map(|row| self.locate(*row)).collect::<PyResult<_>>()?;
        let values = py.detach(|| {
            let mut values = vec![T::default(); places.len() * self.seq_len];
            for ((file, row), out) in places.iter().zip(values.chunks_exact_mut(self.seq_len)) {
                fill(file, *row, out)?;
            }
            Ok(values)
        });
        py.check_signals()?; // a Ctrl-C meanwhile has to be raised before Python is called again
        let array = values.map_err(to_python)?.into_pyarray(py);
        Ok(array.reshape([rows.len(), self.seq_len])?.into_any())
    }
}
