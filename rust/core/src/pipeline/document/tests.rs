use super::*;
use crate::ledger::Ledger;
use crate::pipeline::account::book;

fn cut(mask: &[bool], kept: usize, piece: usize) -> Encoded {
    struct NoSession;
    impl Session for NoSession {
        fn encode(
            &mut self,
            _: &str,
            _: &[std::ops::Range<usize>],
            _: &mut Vec<u32>,
        ) -> Result<(), crate::encode::EncodeError> {
            Ok(())
        }
    }
    let encoder = DocumentEncoder {
        session: Box::new(NoSession),
        ways: Vec::new(),
        specials: Vec::new(),
        bos_id: None,
        eos_id: 0,
        seq_len: 8,
        packing: Packing::BestFit,
        turn_away_specials: false,
        tokens: mask.iter().zip(0..).map(|(counts, id)| if *counts { id | LOSS } else { id }).collect(),
        whole: 0,
        marks: 4,
        sample: None,
    };
    let mut out = Encoded::default();
    out.entry.items = 1;
    out.entry.tokens = mask.len() as u64;
    encoder.cut(true, 0, kept, piece, &mut out);
    out
}

/// The account of a document that is drawn, or not.
fn booked(encoded: &Encoded, drawn: bool) -> Entry {
    let mut entry = encoded.entry.clone();
    for (number, fragment) in encoded.fragments.iter().enumerate() {
        book(&mut entry, fragment, number == 0, drawn, 8);
    }
    assert!(Ledger::collect([("a", "en", &entry)]).check().is_ok(), "{entry:?}");
    entry
}

#[test]
fn pieces_without_loss_are_dropped_and_counted() {
    // The third piece is one token, which is the first of its segment and cannot count.
    let mask: Vec<bool> = (0..17).map(|i| i > 3).collect();
    let out = cut(&mask, 17, 8);
    assert_eq!(
        out.fragments.iter().map(|f| (f.start, f.length, f.flags)).collect::<Vec<_>>(),
        [(0, 8, Segment::CUT | 4), (8, 8, Segment::CUT | 4)]
    );
    let entry = booked(&out, true);
    assert_eq!((entry.tokens_kept, entry.pieces_without_loss), (16, 1));
    assert_eq!(entry.tokens_dropped, [(DropReason::NoLoss, 1)].into());
    assert_eq!((entry.items_kept, entry.items_cut), (1, 1));
    assert_eq!(
        (entry.items_marked, entry.tokens_marked),
        ([(DropReason::Leaked, 1)].into(), [(DropReason::Leaked, 17)].into())
    );
}

#[test]
fn what_is_not_drawn_is_nothing_else() {
    let mask: Vec<bool> = (0..17).map(|i| i > 3).collect();
    for out in [cut(&mask, 17, 8), cut(&mask, 8, 8)] {
        let not_drawn = Entry {
            items: 1,
            tokens: 17,
            items_dropped: [(DropReason::NotDrawn, 1)].into(),
            tokens_dropped: [(DropReason::NotDrawn, 17)].into(),
            ..Entry::default()
        };
        assert_eq!(booked(&out, false), not_drawn);
    }
}

#[test]
fn a_truncated_document_without_loss_is_dropped_whole() {
    let mask: Vec<bool> = (0..12).map(|i| i > 9).collect();
    let out = cut(&mask, 8, 8);
    assert!(out.fragments.is_empty());
    let entry = booked(&out, true);
    assert_eq!(entry.tokens_dropped[&DropReason::NoLoss], 12);
    assert_eq!((entry.items_kept, entry.tokens_truncated), (0, 0));
    let kept = booked(&cut(&mask, 11, 11), true);
    assert_eq!((kept.items_cut, kept.tokens_truncated, kept.pieces_without_loss), (1, 1, 0));
    let whole = cut(&[false, true], 2, 8);
    assert_eq!((whole.fragments.len(), booked(&whole, true).items_cut, whole.fragments[0].flags), (1, 0, 4));
}
