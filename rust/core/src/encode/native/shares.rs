//! Work that all threads share while a tokenizer loads.

/// Tokens or merges that a thread goes through at least, since it takes a while to start.
pub(super) const WORTH: usize = 1 << 14;

/// What threads make of a share each, in order, of at least so many.
pub(super) fn on_all_threads<I: Sync, O: Send>(
    all: &[I],
    worth: usize,
    work: impl Fn(&[I]) -> O + Sync,
) -> Vec<O> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads).max(worth);
    std::thread::scope(|scope| {
        let work = &work;
        let shares: Vec<_> = all.chunks(share).map(|share| scope.spawn(move || work(share))).collect();
        let done = shares
            .into_iter()
            .map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.collect()
    })
}
