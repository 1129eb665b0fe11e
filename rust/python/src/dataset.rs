//! Reading packed files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apollo_pack_core::Error;
use apollo_pack_core::file::{Access, PackedSet, verify};
use apollo_pack_core::pipeline::{Monitor, check_against};
use apollo_pack_core::serve::order::Permutation;
use apollo_pack_core::serve::{Column, Numbers, RowSet};
use numpy::{
    IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pythonize::pythonize;

use crate::build::{FoundTokenizer, choose, report_progress, source};
use crate::error::{ConfigError, to_python};
use crate::job;

/// One or more packed files or sets of shards as one sequence of rows.
#[pyclass(frozen)]
pub(crate) struct PackedFiles {
    rows: Arc<RowSet>,
}

#[pymethods]
impl PackedFiles {
    #[new]
    #[pyo3(signature = (paths, access="auto"))]
    fn new(py: Python<'_>, paths: Vec<PathBuf>, access: &str) -> PyResult<Self> {
        let access = choose(
            "access",
            access,
            &[("auto", Access::Auto), ("map", Access::Map), ("read", Access::Read)],
        )?;
        let rows = py.detach(|| RowSet::open(&paths, access)).map_err(to_python)?;
        Ok(Self { rows: Arc::new(rows) })
    }

    fn __len__(&self) -> usize {
        self.rows.rows()
    }

    #[getter]
    fn seq_len(&self) -> usize {
        self.rows.seq_len()
    }

    /// Whether all files are mapped.
    #[getter]
    fn mapped(&self) -> bool {
        let mut files = self.rows.sets().iter().flat_map(PackedSet::files);
        files.all(|file| file.access() == Access::Map)
    }

    /// The metadata of each file or set.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.rows.sets().iter().map(|set| Ok(pythonize(py, set.metadata())?)).collect()
    }

    /// The root hash of each file or set.
    fn root_hashes(&self) -> Vec<String> {
        self.rows.sets().iter().map(PackedSet::root_hash).collect()
    }

    /// Writes columns of the rows into arrays by their names, without the interpreter's lock.
    fn fill(
        &self,
        py: Python<'_>,
        rows: PyReadonlyArray1<'_, i64>,
        columns: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let rows = self.checked(&rows)?;
        let mut arrays = Vec::with_capacity(columns.len());
        for (name, array) in columns {
            arrays.push((name.cast_into::<PyString>()?, Array::of(&array)?));
        }
        let mut columns = arrays
            .iter_mut()
            .map(|(name, array)| array.column(name.to_str()?))
            .collect::<PyResult<Vec<_>>>()?;
        let filled = py.detach(|| self.rows.fill(&rows, &mut columns));
        py.check_signals()?; // a Ctrl-C meanwhile has to be raised before Python is called again
        filled.map_err(to_python)
    }

    /// The ends of all segments of a batch after a 0, int32, and the length of the longest.
    fn boundaries<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<(Bound<'py, PyArray1<i32>>, u32)> {
        let rows = self.checked(&rows)?;
        let found = py.detach(|| self.rows.boundaries(&rows)).map_err(to_python)?;
        Ok((found.cu_seqlens.into_pyarray(py), found.max_seqlen))
    }

    /// How many labels of a batch count.
    fn num_loss_tokens(&self, py: Python<'_>, rows: PyReadonlyArray1<'_, i64>) -> PyResult<u64> {
        let rows = self.checked(&rows)?;
        py.detach(|| self.rows.num_loss_tokens(&rows)).map_err(to_python)
    }

    /// The segments of a row, a dict each.
    fn documents<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyAny>> {
        let (file, row) = self.rows.locate(row).map_err(to_python)?;
        Ok(pythonize(py, &file.documents(row).map_err(to_python)?)?)
    }

    /// Checks every bit of all files and what it means; a dict for each file or set.
    #[pyo3(signature = (on_progress=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        on_progress: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let monitor = Arc::new(Monitor::default());
        let rows = Arc::clone(&self.rows);
        let total = rows.rows();
        let checked = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&checked);
        let verified = job::run(
            py,
            &monitor,
            move |monitor| {
                let mut before = 0;
                let verify_next = |set: &PackedSet| {
                    let verified = verify(set, |row| {
                        seen.store(before + row, Ordering::Relaxed);
                        monitor.check()
                    });
                    before += set.rows();
                    verified
                };
                rows.sets().iter().map(verify_next).collect::<Result<Vec<_>, Error>>()
            },
            |_| match &on_progress {
                Some(callback) => callback.call1((checked.load(Ordering::Relaxed), total)).map(|_| ()),
                None => Ok(()),
            },
        )?;
        Ok(pythonize(py, &verified)?)
    }

    /// Compares rows (all by default) of the first file or set with its corpus; a dict.
    #[pyo3(signature = (corpus, tokenizer, rows=None, on_progress=None, decontaminate=Vec::new()))]
    fn check_against<'py>(
        &self,
        py: Python<'py>,
        corpus: PathBuf,
        tokenizer: FoundTokenizer,
        rows: Option<usize>,
        on_progress: Option<Bound<'py, PyAny>>,
        decontaminate: Vec<PathBuf>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let monitor = Arc::new(Monitor::default());
        let watched = Arc::clone(&monitor);
        let opened = Arc::clone(&self.rows);
        let agreement = job::run(
            py,
            &monitor,
            move |monitor| {
                let set = &opened.sets()[0];
                check_against(set, &corpus, source(tokenizer), &decontaminate, rows, monitor)
            },
            |py| report_progress(py, &watched, on_progress.as_ref()),
        )?;
        Ok(pythonize(py, &agreement)?)
    }
}

impl PackedFiles {
    /// Rows as indices; negative ones count from the end.
    fn checked(&self, rows: &PyReadonlyArray1<'_, i64>) -> PyResult<Vec<usize>> {
        let all = self.rows.rows();
        let check = |row: i64| {
            let from_start = if row < 0 { row.checked_add_unsigned(all as u64) } else { Some(row) };
            let index = from_start.and_then(|row| usize::try_from(row).ok()).filter(|row| *row < all);
            index.ok_or_else(|| {
                PyIndexError::new_err(format!(
                    "there is no row {row}: the rows are numbered from 0 to {all} - 1"
                ))
            })
        };
        rows.as_array().iter().map(|row| check(*row)).collect()
    }
}

/// An array to be written to.
enum Array<'py> {
    Wide(PyReadwriteArrayDyn<'py, i64>),
    Narrow(PyReadwriteArrayDyn<'py, i32>),
    Unsigned(PyReadwriteArrayDyn<'py, u32>),
    /// Of bool, looked at as bytes: fresh memory may hold what is no bool.
    Bytes(PyReadwriteArrayDyn<'py, u8>),
}

impl<'py> Array<'py> {
    fn of(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        let found = if let Ok(array) = array.cast::<PyArrayDyn<i64>>() {
            array.try_readwrite().map(Self::Wide)
        } else if let Ok(array) = array.cast::<PyArrayDyn<i32>>() {
            array.try_readwrite().map(Self::Narrow)
        } else if let Ok(array) = array.cast::<PyArrayDyn<u32>>() {
            array.try_readwrite().map(Self::Unsigned)
        } else if array.cast::<PyArrayDyn<bool>>().is_ok() {
            array.call_method1("view", ("uint8",))?.cast::<PyArrayDyn<u8>>()?.try_readwrite().map(Self::Bytes)
        } else {
            return Err(ConfigError::new_err("a buffer is an array of int64, int32, uint32 or bool"));
        };
        found.map_err(|_| ConfigError::new_err("a buffer is writable, and in no other use"))
    }

    fn column<'a>(&'a mut self, name: &str) -> PyResult<Column<'a>> {
        let numbers = match self {
            Self::Wide(array) => Numbers::Wide(places(array)?),
            Self::Narrow(array) => Numbers::Narrow(places(array)?),
            Self::Unsigned(array) if name == "input_ids" => {
                return Ok(Column::InputIdsUnsigned(places(array)?));
            }
            Self::Bytes(array) if matches!(name, "loss_mask" | "block_mask") => {
                let places = places(array)?;
                let block = name == "block_mask";
                return Ok(if block { Column::BlockMask(places) } else { Column::LossMask(places) });
            }
            _ => return Err(ConfigError::new_err(format!("a buffer of another type than {name} has"))),
        };
        Ok(match name {
            "input_ids" => Column::InputIds(numbers),
            "labels" => Column::Labels(numbers),
            "position_ids" => Column::PositionIds(numbers),
            "segment_ids" => Column::SegmentIds(numbers),
            "attention_mask" => Column::AttentionMask(numbers),
            _ => return Err(ConfigError::new_err(format!("there is no column {name:?} of numbers"))),
        })
    }
}

fn places<'a, T: numpy::Element>(array: &'a mut PyReadwriteArrayDyn<'_, T>) -> PyResult<&'a mut [T]> {
    // `as_slice_mut` alone would take Fortran's order too.
    let in_order = array.is_c_contiguous();
    let places = array.as_slice_mut().ok().filter(|_| in_order);
    places.ok_or_else(|| ConfigError::new_err("a buffer has to be contiguous, in C order"))
}

/// The rows at the positions `start`, `start + step`, … of an epoch, which begins again after its end;
/// without a seed, as they stand.
#[pyfunction]
pub(crate) fn rows_in_order(
    py: Python<'_>,
    rows: u64,
    seed: Option<u64>,
    epoch: u64,
    start: u64,
    step: u64,
    count: usize,
) -> PyResult<Bound<'_, PyArray1<i64>>> {
    let order = seed.map(|seed| Permutation::new(rows, seed, epoch));
    let row = |position: u64| {
        let position = position.checked_rem(rows)?;
        let row = order.as_ref().map_or(Some(position), |order| order.row_at(position))?;
        i64::try_from(row).ok()
    };
    let positions = std::iter::successors(Some(start), |position| position.checked_add(step));
    let found: Option<Vec<i64>> = positions.take(count).map(row).collect();
    Ok(found
        .ok_or_else(|| PyIndexError::new_err(format!("no such positions in {rows} rows")))?
        .into_pyarray(py))
}
