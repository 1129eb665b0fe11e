use super::*;

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

#[test]
fn pieces_without_loss_are_dropped_and_counted() {
    // The third piece is one token, which is the first of its segment and cannot count.
    let mask: Vec<bool> = (0..17).map(|i| i > 3).collect();
    let out = cut(&mask, 17, 8);
    assert_eq!(
        out.fragments.iter().map(|f| (f.start, f.length, f.flags)).collect::<Vec<_>>(),
        [(0, 8, Segment::CUT | 4), (8, 8, Segment::CUT | 4)]
    );
    assert_eq!((out.entry.tokens_kept, out.entry.pieces_without_loss), (16, 1));
    assert_eq!(out.entry.tokens_dropped[&DropReason::NoLoss], 1);
    assert_eq!((out.entry.items_kept, out.entry.items_cut), (1, 1));
}

#[test]
fn a_truncated_document_without_loss_is_dropped_whole() {
    let mask: Vec<bool> = (0..12).map(|i| i > 9).collect();
    let out = cut(&mask, 8, 8);
    assert!(out.fragments.is_empty());
    assert_eq!(out.entry.tokens_dropped[&DropReason::NoLoss], 12);
    assert_eq!((out.entry.items_kept, out.entry.tokens_truncated), (0, 0));
    let whole = cut(&[false, true], 2, 8);
    assert_eq!((whole.fragments.len(), whole.entry.items_cut, whole.fragments[0].flags), (1, 0, 4));
}
