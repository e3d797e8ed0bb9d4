//! Runs that follow a script instead of a seed: for rules that random worlds come to need too rarely.

use std::time::Duration;

use inkwire_document::{Actor, HybridTime, Position, Value};
use inkwire_protocol::Role;
use inkwire_protocol::client::{Lanes, Now};
use inkwire_protocol::frame::Open;

use super::{Rules, World};
use crate::host::{Host, MAP, TEXT, token};
use crate::network::Weather;

/// A script, which ends well with all rules.
pub(crate) type Scene = fn(&mut World) -> Result<(), String>;

/// All scripts.
pub(crate) const SCENES: [Scene; 8] = [
    an_answer_comes_before_its_question,
    what_it_refers_to_is_lost,
    two_tabs_write_as_one,
    another_tab_writes_what_was_seen,
    another_tab_is_faster,
    another_tab_is_folded,
    a_reader_brings_back_what_was_refused,
    a_page_is_loaded_anew,
];

/// Longer than anything takes that is under way in a script.
const A_WHILE: Duration = Duration::from_secs(12);
/// As good as never.
const NEVER: Duration = Duration::from_secs(10_000);

/// Plays the script, lets everything come to rest, and checks what must hold.
pub(crate) fn run_scene(scene: Scene, rules: Rules, trace: bool) -> Result<(), String> {
    let mut world = World::new(1, rules, trace);
    world.network.weather = Weather::fair();
    world.relay.bandwidth = 10_000_000;
    world.relay.config = inkwire_protocol::room::RoomConfig { sabotage: rules.room, ..Default::default() };
    world.relay.store_delay = Some(Duration::from_millis(5));
    (world.copies, world.clocks_jump, world.roles_change, world.rolls_back) = (false, false, false, false);
    world.hosts.clear();
    scene(&mut world)?;
    world.settle()
}

impl World {
    /// So many more editors, who are there from now on.
    fn editors(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let kind = (Role::Editor, Lanes::Streams);
            let host = Host::new(self.hosts.len(), kind, self.now, self.rules.client, &mut self.random);
            self.hosts.push(host);
        }
        self.pass(A_WHILE)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        while self.now < until {
            self.step(until)?;
        }
        Ok(())
    }

    /// Writes at the text's end and, `with_time`, a key of the map: both in one batch.
    fn write(&mut self, index: usize, text: &str, with_time: bool) -> Result<(), String> {
        let (now, host) = (Now::new(self.now), &mut self.hosts[index]);
        let edit = |document: &mut inkwire_document::Document, time: HybridTime| {
            document.insert(TEXT, Position::Scalar(document.text(TEXT).len_scalars()), text)?;
            if with_time {
                document.map_set(MAP, "key", Value::from(text), time)?;
            }
            Ok(())
        };
        host.client.edit(now, host.document, edit).map_err(|error| error.to_string())?;
        host.edits += 1 + u64::from(with_time);
        host.client.flush(now, host.document);
        self.pump_host(index)
    }

    /// Deletes in the text.
    fn erase(&mut self, index: usize, at: usize, length: usize) -> Result<(), String> {
        let (now, host) = (Now::new(self.now), &mut self.hosts[index]);
        let edit = |document: &mut inkwire_document::Document, _| document.delete(TEXT, Position::Scalar(at), length);
        host.client.edit(now, host.document, edit).map_err(|error| error.to_string())?;
        host.edits += 1;
        host.client.flush(now, host.document);
        self.pump_host(index)
    }

    /// The page's connection ends, and it does not come back before it is said.
    fn away(&mut self, index: usize) -> Result<(), String> {
        self.lose(index);
        let host = &mut self.hosts[index];
        host.online = false;
        host.connection = None;
        host.client.disconnected(Now::new(self.now));
        self.pass(A_WHILE)
    }

    /// Nothing gets through to and from the page any more, and it does not know.
    fn lose(&mut self, index: usize) {
        if let Some(connection) = self.hosts[index].connection {
            self.network.cut(&mut self.random, connection);
        }
    }

    fn back(&mut self, index: usize) -> Result<(), String> {
        self.hosts[index].online = true;
        self.pass(A_WHILE)
    }

    /// Another page with the memory of this one, which is not there yet.
    fn copy(&mut self, index: usize) -> usize {
        self.twins += 1;
        let mut copy = self.hosts[index].copy(self.now, self.twins);
        copy.online = false;
        self.hosts.push(copy);
        self.hosts.len() - 1
    }

    /// The relay stops and starts again, with a clock that is off by so much, and without what was not stored but of `kept`
    /// actors. Everybody is away until it is said.
    fn crash(&mut self, kept: &[Actor], skew: i64) -> Result<(), String> {
        self.relay.crash_keeping(|record| kept.contains(&record.batch.actor));
        for index in 0..self.hosts.len() {
            self.lose(index);
            let host = &mut self.hosts[index];
            (host.online, host.connection) = (false, None);
            host.client.disconnected(Now::new(self.now));
        }
        self.relay.skew_millis = skew;
        self.relay.store_delay = Some(Duration::from_millis(5));
        self.relay.start();
        self.pass(A_WHILE)
    }

    fn actor(&self, index: usize) -> Actor {
        self.hosts[index].replica().document().actor().expect("it writes")
    }

    fn settle(&mut self) -> Result<(), String> {
        self.calm();
        let deadline = self.now + super::REST;
        while !self.at_rest() {
            if self.now >= deadline {
                return Err(format!("no rest: {}", self.unrest()));
            }
            self.pass(Duration::from_millis(500))?;
        }
        self.pass(A_WHILE)?;
        self.check_end()
    }
}

/// Who wrote what another built on offers that before it sends its own again.
pub(crate) fn an_answer_comes_before_its_question(world: &mut World) -> Result<(), String> {
    world.editors(2)?;
    world.relay.store_delay = Some(NEVER);
    world.write(1, "question", false)?;
    world.pass(A_WHILE)?;
    world.write(0, " and answer", false)?;
    world.pass(A_WHILE)?;
    world.hosts[0].gone = true;
    world.crash(&[], 0)?;
    world.back(1)
}

/// One wrote, another wrote in the middle of it, and of both only the other is in the store when the relay comes back.
pub(crate) fn what_it_refers_to_is_lost(world: &mut World) -> Result<(), String> {
    world.editors(3)?;
    world.away(2)?;
    world.relay.config.tail_bytes = 2_000;
    world.relay.store_delay = Some(NEVER);
    world.write(0, "gone", false)?;
    world.pass(A_WHILE)?;
    world.write(1, "after it", false)?;
    world.pass(A_WHILE)?;
    (world.hosts[0].gone, world.hosts[1].gone) = (true, true);
    let kept = world.actor(1);
    world.crash(&[kept], 0)?;
    world.back(2)?;
    for _ in 0..20 {
        world.write(2, "something else", false)?;
        world.pass(A_WHILE)?;
    }
    Ok(())
}

/// One of two tabs has sent what did not arrive, the other wrote as many counters as the same actor.
pub(crate) fn two_tabs_write_as_one(world: &mut World) -> Result<(), String> {
    world.copies = true;
    world.editors(1)?;
    world.write(0, "both ", false)?;
    world.away(0)?;
    let other = world.copy(0);
    world.back(other)?;
    world.lose(other);
    world.write(other, "left.", false)?;
    world.away(other)?;
    world.back(0)?;
    world.write(0, "right", false)?;
    world.away(0)?;
    world.hosts[0].gone = true;
    world.back(other)
}

/// What one of two tabs wrote was seen and lost, and the other wrote something else in its place before who saw it came back.
pub(crate) fn another_tab_writes_what_was_seen(world: &mut World) -> Result<(), String> {
    let reader = seen_and_lost(world)?;
    world.back(2)?;
    world.write(2, "right", false)?;
    world.back(reader)
}

/// The reader of [`another_tab_writes_what_was_seen`] opens the document before the other tab writes, and what it then offers
/// comes late: when the relay does not know any more what it has folded.
pub(crate) fn another_tab_is_faster(world: &mut World) -> Result<(), String> {
    world.relay.config.known_batches = 0;
    world.relay.config.tail_bytes = 1;
    let reader = seen_and_lost(world)?;
    let opens = |world: &World| world.relay.frames[usize::from(Open::NUMBER)];
    let before = opens(world);
    world.hosts[reader].online = true;
    while opens(world) == before {
        world.pass(Duration::from_millis(1))?;
    }
    world.network.weather.delay = A_WHILE * 3;
    while !world.hosts[reader].replica().synced() {
        world.pass(Duration::from_millis(1))?;
    }
    world.network.weather = Weather::fair();
    world.back(2)?;
    world.write(2, "right", false)?;
    world.pass(A_WHILE * 3)
}

/// Who saw what one of two tabs wrote, and that it was deleted again, comes back when what the other wrote in its place is folded
/// and the relay knows no more what it was. The deletion is not of that.
pub(crate) fn another_tab_is_folded(world: &mut World) -> Result<(), String> {
    world.relay.config.known_batches = 0;
    world.relay.config.tail_bytes = 1;
    world.copies = true;
    world.editors(2)?;
    world.write(0, "both ", false)?;
    world.pass(A_WHILE)?;
    world.copy(0);
    world.relay.store_delay = Some(NEVER);
    world.write(0, "left.", false)?;
    world.pass(A_WHILE)?;
    world.erase(0, 5, 5)?;
    world.pass(A_WHILE)?;
    world.hosts[0].gone = true;
    world.crash(&[], 0)?;
    world.back(2)?;
    world.write(2, "right", false)?;
    world.away(2)?;
    world.back(1)?;
    world.settle()?;
    let text = world.hosts[2].replica().document().text(TEXT).to_string();
    if text == "both right" { Ok(()) } else { Err(format!("what one tab wrote was deleted by the other: {text:?}")) }
}

/// Page 0 wrote what page 1 saw and a crash took; page 0 is gone, and page 2 is a copy from before. Returns who saw it.
fn seen_and_lost(world: &mut World) -> Result<usize, String> {
    world.copies = true;
    world.editors(2)?;
    world.write(0, "both ", false)?;
    world.pass(A_WHILE)?;
    world.copy(0);
    world.relay.store_delay = Some(NEVER);
    world.write(0, "left.", false)?;
    world.pass(A_WHILE)?;
    world.hosts[0].gone = true;
    world.crash(&[], 0)?;
    Ok(1)
}

/// What was seen and lost is refused to its author by a relay whose clock is a day behind; it makes it again before who saw it
/// comes back.
pub(crate) fn a_reader_brings_back_what_was_refused(world: &mut World) -> Result<(), String> {
    world.clocks_jump = true;
    world.editors(2)?;
    world.relay.store_delay = Some(NEVER);
    let word = token("user-0", 0, 0);
    world.write(0, &word, true)?;
    // The relay has it, and its author does not hear of that.
    world.pass(Duration::from_millis(8))?;
    world.away(0)?;
    world.crash(&[], -86_400_000)?;
    world.back(0)?;
    world.back(1)
}

/// What a page wrote after it was stored was seen and lost, and it is loaded anew.
pub(crate) fn a_page_is_loaded_anew(world: &mut World) -> Result<(), String> {
    world.editors(2)?;
    world.write(0, "stored ", false)?;
    world.pass(A_WHILE)?;
    world.store_page(0);
    world.relay.store_delay = Some(NEVER);
    world.write(0, "left.", false)?;
    world.pass(A_WHILE)?;
    world.crash(&[], 0)?;
    if world.rules.go_on_from_disk
        && let Some(stored) = world.hosts[0].backup.take()
    {
        world.restore(0, &stored);
    } else {
        world.hosts[0].reload(world.now, &mut world.random);
    }
    world.hosts[0].online = true;
    world.pass(A_WHILE)?;
    world.write(0, "right", false)?;
    world.pass(A_WHILE)?;
    world.back(1)
}
