//! Draws what is wanted, plans the rows and has them written; and keeps the account of what was drawn.

use std::path::Path;

use super::account::book;
use super::checkpoint::Checkpointer;
use super::collect::Encoded;
use super::encode::Encoding;
use super::gather::{Gathered, Gathering};
use super::monitor::Stage;
use super::order_file;
use super::output::Output;
use super::workspace::Workspace;
use crate::discover::Input;
use crate::error::{Error, Result};
use crate::ledger::{Entry, Ledger};
use crate::plan::{Draws, Order, Sampler, pack};
use crate::spool::{Places, Spool};

/// What stands in the rows.
pub(super) struct Placed {
    pub(super) gathered: Gathered,
    /// The account of what was drawn and what was not, by input.
    drawn: Vec<Entry>,
    /// The hash of the list of documents that was followed.
    pub(super) order_file: Option<String>,
}

/// The fragments of a spool, as far as drawing asks.
struct Fragments {
    lengths: Vec<u32>,
    /// Index of each one's item, where a list of documents is read or written.
    items: Vec<u64>,
    /// How many labels are end-of-text, where there are any.
    end_labels: Vec<u32>,
    /// For each input, how many fragments there are up to its end.
    ends: Vec<u32>,
    /// A bit for each: it is of the same document as the one before.
    continued: Vec<bool>,
}

/// Draws, plans the rows and writes them.
pub(super) fn place<'a>(
    encoding: &Encoding<'a>,
    (spool, encoded): (&Spool, &Encoded),
    workspace: &'a Workspace,
    checkpointer: &Checkpointer,
    out: &Path,
) -> Result<(Output<'a>, Placed)> {
    let Encoding { inputs, rules, tokenizer, config, means, monitor, .. } = *encoding;
    monitor.start(Stage::Plan, 0);
    let shares = config.recipe.shares(inputs, rules);
    let paths = inputs.iter().map(|input| input.path.as_str());
    let mut sampler = Sampler::new(config.order, config.seed, &shares, paths);
    let listed = config.order_file.is_some() || config.write_order.is_some();
    let mut fragments = Fragments::new(inputs.len());
    let mut last = None;
    spool.each_fragment(|fragment| {
        if config.order != Order::File {
            sampler.push(fragment.input, fragment.item);
        }
        let document = Some((fragment.input, fragment.item));
        fragments.continued.push(last == document);
        last = document;
        fragments.lengths.push(fragment.length);
        if listed {
            fragments.items.push(fragment.item);
        }
        if config.template.by_turn {
            fragments.end_labels.push(fragment.end_labels);
        }
        fragments.ends[fragment.input as usize] += 1;
        Ok(())
    })?;
    fragments.sum_up();
    let (draws, order_file) = match &config.order_file {
        Some(list) => {
            let (draws, hash) = order_file::read(list, inputs, &fragments)?;
            (draws, Some(hash))
        }
        None => (sampler.finish(&fragments.lengths, &config.recipe.target(inputs, rules))?, None),
    };
    if draws.is_empty() {
        return Err(Error::Config("nothing to write: the recipe draws no document".into()));
    }
    if let Some(list) = &config.write_order {
        order_file::write(&means.disk, list, inputs, &fragments, &draws)?;
    }
    let drawn = fragments.account(&draws, spool, config.seq_len)?;
    let places = Places::new(&fragments.lengths);
    let end_labels = std::mem::take(&mut fragments.end_labels);
    drop(fragments);
    let length = |draw| places.length(draws.fragment(draw));
    let rows = pack(config.packing, draws.len(), length, config.seq_len)?;
    let gathering = Gathering {
        spool,
        places: &places,
        draws: &draws,
        rows: &rows,
        end_labels: &end_labels,
        inputs: inputs.len(),
        tokenizer: &tokenizer.info,
        config,
        monitor,
    };
    let mut output = Output::plan(&means.disk, workspace, out, inputs, &gathering)?;
    monitor.start(Stage::Write, rows.len() as u64);
    let gathered = output.write(&gathering, encoded, checkpointer, means.checkpoint_every)?;
    Ok((output, Placed { gathered, drawn, order_file }))
}

impl Fragments {
    fn new(inputs: usize) -> Self {
        let (lengths, items, end_labels, continued) = Default::default();
        Self { lengths, items, end_labels, ends: vec![0; inputs], continued }
    }

    /// Counts of each input become sums up to its end.
    fn sum_up(&mut self) {
        let mut sum = 0;
        for end in &mut self.ends {
            sum += *end;
            *end = sum;
        }
    }

    /// The account of what was drawn and what was not, by input.
    fn account(&self, draws: &Draws, spool: &Spool, seq_len: u32) -> Result<Vec<Entry>> {
        let mut entries = vec![Entry::default(); self.ends.len()];
        let mut drawn = vec![false; self.lengths.len()];
        for &fragment in draws.fragments() {
            let at = fragment as usize;
            if std::mem::replace(&mut drawn[at], true) {
                let entry = &mut entries[self.ends.partition_point(|end| *end <= fragment)];
                entry.items_repeated += u64::from(!self.continued[at]);
                entry.tokens_repeated += u64::from(self.lengths[at]);
            }
        }
        let mut each = drawn.iter().zip(&self.continued);
        spool.each_fragment(|fragment| {
            let (drawn, continued) = each.next().unwrap_or((&false, &false));
            book(&mut entries[fragment.input as usize], fragment, !continued, *drawn, seq_len);
            Ok(())
        })?;
        Ok(entries)
    }
}

impl order_file::Documents for Fragments {
    fn documents(&self, input: usize) -> std::ops::Range<u32> {
        let start = input.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[input]
    }

    fn input_of(&self, fragment: u32) -> usize {
        self.ends.partition_point(|end| *end <= fragment)
    }

    fn item(&self, fragment: u32) -> u64 {
        self.items[fragment as usize]
    }

    fn begins(&self, fragment: u32) -> bool {
        !self.continued[fragment as usize]
    }
}

impl Placed {
    /// Closes the account: what the rows hold, counted there, has to be what encoding handed over and drawing took.
    pub(super) fn settle(&self, inputs: &[Input], mut entries: Vec<Entry>) -> Result<Ledger> {
        for ((entry, drawn), placed) in entries.iter_mut().zip(&self.drawn).zip(&self.gathered.by_input) {
            entry.add(drawn);
            if entry.tokens_in_rows() != Some(placed.tokens) {
                return Err(Error::Internal(format!("{placed:?} were placed of {entry:?}")));
            }
            entry.loss_tokens = placed.loss_tokens;
        }
        let named = inputs.iter().zip(&entries);
        let ledger = Ledger::collect(
            named.map(|(input, entry)| (input.name.source.as_str(), input.name.language.as_str(), entry)),
        );
        ledger.check()?;
        Ok(ledger)
    }
}
