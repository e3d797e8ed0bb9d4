use arbitrary::Unstructured;
use bytes::Bytes;
use inkwire_document::Batch;
use inkwire_protocol::Chain;
use inkwire_protocol::receipt::{ReceiptKeys, Scope, issue, issue_ticket, verify, verify_ticket};
use inkwire_protocol::record::Digest;

use super::choose;

/// Receipts and tickets: what was given is good for what it was given for; one that is changed, or made up, never is.
pub fn receipts(data: &[u8]) {
    let _too_short = run(&mut Unstructured::new(data));
}

fn run(choices: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let keys = ReceiptKeys::new(2, [2; 32]).with_previous(1, [1; 32]);
    let scope = Scope { document: "acme/plan", incarnation: u64::from(choices.arbitrary::<u8>()? % 2) };
    let actor = choose::actor(choices, &Default::default())?;
    let (first, count) = (choose::counter(choices)?, choices.arbitrary()?);
    let operations = Bytes::copy_from_slice(choices.arbitrary()?);
    let batch = Batch { actor, first, count, operations };
    let digest = Digest::of(&batch.operations);
    let subject: &str = choices.arbitrary()?;
    let subject = &subject[..subject.floor_char_boundary(256)];
    let before = choices.arbitrary::<Option<[u8; 16]>>()?.map(Chain);
    let receipt = issue(&keys, scope, &batch, &digest, subject, before);
    let proof = verify(&keys, scope, &batch, &digest, &receipt).expect("it was just made");
    assert_eq!(&*proof.subject, subject);
    assert!(proof.link.follows(before));
    let ticket = issue_ticket(&keys, scope, actor, subject);
    assert_eq!(verify_ticket(&keys, scope, actor, subject, &ticket), Ok(()));

    let (mut changed_receipt, mut changed_ticket) = (receipt.to_vec(), ticket.to_vec());
    for bytes in [&mut changed_receipt, &mut changed_ticket] {
        match choices.int_in_range(0..=3)? {
            0 => bytes.truncate(choices.choose_index(bytes.len())?),
            1 => bytes.push(choices.arbitrary()?),
            2 => *bytes = choices.arbitrary()?,
            _ => {
                let at = choices.choose_index(bytes.len())?;
                bytes[at] ^= choices.arbitrary::<u8>()?;
            }
        }
    }
    let same = changed_receipt == receipt;
    assert_eq!(verify(&keys, scope, &batch, &digest, &changed_receipt).is_ok(), same);
    assert_eq!(verify_ticket(&keys, scope, actor, subject, &changed_ticket).is_ok(), changed_ticket == ticket);
    // Neither is the other, nor good elsewhere.
    assert!(verify_ticket(&keys, scope, actor, subject, &receipt).is_err());
    assert!(verify(&keys, scope, &batch, &digest, &ticket).is_err());
    let elsewhere = Scope { document: "acme/plan", incarnation: 7 };
    assert!(verify(&keys, elsewhere, &batch, &digest, &receipt).is_err());
    assert!(verify_ticket(&keys, elsewhere, actor, subject, &ticket).is_err());
    Ok(())
}
