use diamond_types::AgentId;
use diamond_types::list::encoding::{ENCODE_FULL, ENCODE_PATCH};
use diamond_types::list::{Branch, OpLog};

use crate::measure::Replica;
use crate::trace::Edit;

/// Its log of operations and the branch that is shown. Updates are patches of the log.
pub struct DiamondTypes {
    log: OpLog,
    branch: Branch,
    author: AgentId,
}

impl Replica for DiamondTypes {
    fn new(author: u64) -> Self {
        let mut log = OpLog::new();
        let author = log.get_or_create_agent_id(&author.to_string());
        Self { log, branch: Branch::new(), author }
    }

    fn len(&self) -> usize {
        self.branch.len()
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        let before = self.log.local_version();
        for edit in edits {
            let at = edit.position;
            if edit.deleted > 0 {
                self.branch.delete_without_content(&mut self.log, self.author, at..at + edit.deleted);
            }
            if !edit.inserted.is_empty() {
                self.branch.insert(&mut self.log, self.author, at, &edit.inserted);
            }
        }
        self.log.encode_from(ENCODE_PATCH, &before)
    }

    fn apply(&mut self, update: &[u8]) {
        let version = self.log.decode_and_add(update).expect("what was encoded");
        self.branch.merge(&self.log, &version);
    }

    fn text(&self) -> String {
        self.branch.content().to_string()
    }

    fn save(&mut self) -> Vec<u8> {
        self.log.encode(ENCODE_FULL)
    }

    fn load(bytes: &[u8]) -> Self {
        let mut log = OpLog::load_from(bytes).expect("what was encoded");
        let branch = log.checkout_tip();
        let author = log.get_or_create_agent_id("reader");
        Self { log, branch, author }
    }
}
