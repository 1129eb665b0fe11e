//! A look at every item of a corpus, on all threads, before or without a build.

use std::sync::{Mutex, PoisonError};

use crossbeam_channel::bounded;

use super::monitor::{Monitor, Stage};
use crate::discover::Input;
use crate::error::{Error, Result};
use crate::read::{Batch, Position, Reading, read_batches};

/// What is made of each batch by `work`, which gets the number of its input too, in the order of the corpus. A file
/// that ends in damage is looked at as far as it goes.
///
/// # Errors
/// When a file cannot be read, and when the monitor says so.
pub(crate) fn sweep<T: Send>(
    inputs: &[Input],
    threads: usize,
    max_item_bytes: usize,
    monitor: &Monitor,
    work: impl Fn(usize, &Batch) -> T + Sync,
) -> Result<Vec<T>> {
    monitor.start(Stage::Survey, inputs.iter().map(|input| input.bytes).sum());
    let reading = Reading { batch_bytes: 256 * 1024, max_item_bytes, from: Position::default() };
    let results = Mutex::new(Vec::new());
    let (work_out, work_in) = bounded::<(usize, usize, Batch)>(2 * threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let work_in = work_in.clone();
                let (work, results) = (&work, &results);
                scope.spawn(move || {
                    for (number, input, batch) in work_in {
                        let result = (number, work(input, &batch));
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                    Ok(())
                })
            })
            .collect();
        drop(work_in); // who sends is told when no worker is left
        let mut number = 0;
        let read = inputs.iter().enumerate().try_for_each(|(input, file)| {
            let mut seen = 0;
            let summary = read_batches(file, &reading, |batch| {
                monitor.check()?;
                monitor.advance(batch.stored.saturating_sub(seen));
                seen = batch.stored;
                number += 1;
                Ok(work_out.send((number, input, batch)).is_ok())
            })?;
            summary.map(|_| ()).ok_or(Error::Interrupted)
        });
        drop(work_out);
        let joined = workers.into_iter().map(super::encode::join).fold(Ok(()), Result::and);
        joined.and(read)
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
