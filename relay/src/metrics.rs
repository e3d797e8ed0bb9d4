//! What the relay counts. Each relay has a recorder of its own, so that several may run in one process.

use inkwire_protocol::room::{Drops, Usage};
use inkwire_storage::{Condition, Counts};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Bounds of the histograms of seconds.
const SECONDS: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Bounds of the histograms of counts.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];

const METADATA: Metadata<'static> = Metadata::new("inkwire", Level::INFO, None);

/// How a session is carried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Streams and datagrams over QUIC.
    WebTransport,
    /// Messages over TCP.
    WebSocket,
}

impl Transport {
    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::WebTransport => "webtransport",
            Transport::WebSocket => "websocket",
        }
    }
}

/// Handles of every metric, registered once: counting is one atomic addition.
pub struct Metrics {
    handle: PrometheusHandle,
    /// Sessions that are open, by transport.
    sessions: [Gauge; 2],
    /// Sessions opened since the start, by transport.
    sessions_opened: [Counter; 2],
    /// Rooms in memory.
    pub rooms: Gauge,
    /// Rooms read from the store since the start.
    pub rooms_loaded: Counter,
    /// How long reading a room took, in seconds.
    pub room_load_seconds: Histogram,
    /// Open documents of all sessions.
    pub members: Gauge,
    /// Frames from clients.
    pub frames_received: Counter,
    /// Bytes of frames from clients.
    pub bytes_received: Counter,
    /// Frames to clients.
    pub frames_sent: Counter,
    /// Bytes of frames to clients.
    pub bytes_sent: Counter,
    /// Datagrams to clients.
    pub datagrams_sent: Counter,
    /// Datagrams dropped because a connection's buffer was full.
    pub datagrams_dropped: Counter,
    /// Copies of batches to clients, in datagrams.
    pub copies_sent: Counter,
    /// Copies from clients that came before their batches.
    pub copies_first: Counter,
    /// Copies from clients that brought nothing new, or came too early.
    pub copies_dropped: Counter,
    /// Times that a session was read slower because the store was behind.
    pub store_waits: Counter,
    /// Batches made durable.
    pub batches_stored: Counter,
    /// Batches of one write to the store.
    pub store_batches: Histogram,
    /// How long one write to the store took, in seconds.
    pub store_seconds: Histogram,
    /// Writes that the store refused.
    pub store_failures: Counter,
    /// Bytes that wait for the store.
    pub store_queue_bytes: Gauge,
    /// Snapshots made.
    pub folds: Counter,
    /// How long making and committing one took, in seconds.
    pub fold_seconds: Histogram,
    /// The most bytes that rooms may use together.
    pub memory_budget_bytes: Gauge,
    /// The bytes that they use.
    memory_bytes: Gauge,
    /// What of it is what.
    room_bytes: [Gauge; 8],
    /// What rooms dropped because a bound was reached.
    dropped: [Counter; 4],
    /// Batches that were refused for what they are.
    refused: Counter,
    /// What the store did beside what it was asked.
    store: StoreMetrics,
    /// Whether the store serves (0), is away (1), or is away and nothing more can be kept (2).
    store_condition: Gauge,
    /// Who paid when memory was short.
    pub relief: Relief,
    recorder: PrometheusRecorder,
}

/// What the store counts itself.
struct StoreMetrics {
    retries: Counter,
    timeouts: Counter,
    repeated_writes: Counter,
    conflicts: Counter,
    segments_begun: Counter,
    segments_deleted: Counter,
    loads_started_over: Counter,
    outages: Counter,
    drained: Counter,
    spool_bytes: Gauge,
}

/// How often each of those paid who pay when memory is short, in their order.
pub struct Relief {
    /// Rooms that nobody had open were unloaded early.
    pub rooms: Counter,
    /// Rooms were folded early.
    pub folds: Counter,
    /// Slow readers of a room lost their place.
    pub readers: Counter,
    /// Rooms took no batches for a time.
    pub writers: Counter,
    /// Documents that were not open were refused.
    pub opens: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A fresh recorder with every metric at zero.
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let recorder = [("seconds", SECONDS), ("batches", COUNTS)]
            .into_iter()
            .try_fold(builder, |builder, (suffix, bounds)| {
                let matcher = metrics_exporter_prometheus::Matcher::Suffix(suffix.to_owned());
                builder.set_buckets_for_metric(matcher, bounds)
            })
            .expect("the bounds are not empty")
            .build_recorder();
        let by_transport = |name: &'static str, transport: Transport| {
            Key::from_parts(name, vec![Label::new("transport", transport.as_str())])
        };
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let gauge = |name: &'static str, help: &'static str| {
            recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
            recorder.register_gauge(&Key::from_static_name(name), &METADATA)
        };
        let histogram = |name: &'static str, help: &'static str| {
            recorder.describe_histogram(KeyName::from_const_str(name), Some(Unit::Seconds), help.into());
            recorder.register_histogram(&Key::from_static_name(name), &METADATA)
        };
        let labelled = |name: &'static str, label: &'static str, value: &'static str| {
            Key::from_parts(name, vec![Label::new(label, value)])
        };
        let room_bytes = ["tail", "undurable", "kept", "offers", "presence", "snapshots", "pinned", "answers"]
            .map(|what| recorder.register_gauge(&labelled("inkwire_room_bytes", "what", what), &METADATA));
        let dropped = ["batches", "readers", "offers", "presence"]
            .map(|what| recorder.register_counter(&labelled("inkwire_room_drops_total", "what", what), &METADATA));
        let payer = |payer: &'static str| {
            recorder.register_counter(&labelled("inkwire_memory_relief_total", "payer", payer), &METADATA)
        };
        recorder.describe_gauge("inkwire_room_bytes".into(), None, "Bytes that rooms keep.".into());
        recorder.describe_counter("inkwire_room_drops_total".into(), None, "What rooms dropped at a bound.".into());
        recorder.describe_counter("inkwire_memory_relief_total".into(), None, "Who paid when memory was short.".into());
        let transports = [Transport::WebTransport, Transport::WebSocket];
        recorder.describe_gauge("inkwire_sessions".into(), None, "Open sessions.".into());
        recorder.describe_counter("inkwire_sessions_opened_total".into(), None, "Sessions opened.".into());
        Self {
            handle: recorder.handle(),
            sessions: transports
                .map(|transport| recorder.register_gauge(&by_transport("inkwire_sessions", transport), &METADATA)),
            sessions_opened: transports.map(|transport| {
                recorder.register_counter(&by_transport("inkwire_sessions_opened_total", transport), &METADATA)
            }),
            rooms: gauge("inkwire_rooms", "Rooms in memory."),
            rooms_loaded: counter("inkwire_rooms_loaded_total", "Rooms read from the store."),
            room_load_seconds: histogram("inkwire_room_load_seconds", "How long reading a room took."),
            members: gauge("inkwire_members", "Open documents of all sessions."),
            frames_received: counter("inkwire_frames_received_total", "Frames from clients."),
            bytes_received: counter("inkwire_bytes_received_total", "Bytes of frames from clients."),
            frames_sent: counter("inkwire_frames_sent_total", "Frames to clients."),
            bytes_sent: counter("inkwire_bytes_sent_total", "Bytes of frames to clients."),
            datagrams_sent: counter("inkwire_datagrams_sent_total", "Datagrams to clients."),
            datagrams_dropped: counter(
                "inkwire_datagrams_dropped_total",
                "Datagrams dropped because a buffer was full.",
            ),
            copies_sent: counter("inkwire_copies_sent_total", "Copies of batches to clients, in datagrams."),
            copies_first: counter(
                "inkwire_copies_first_total",
                "Copies of batches from clients that came before their batches.",
            ),
            copies_dropped: counter(
                "inkwire_copies_dropped_total",
                "Copies of batches from clients that brought nothing new, or came too early.",
            ),
            store_waits: counter(
                "inkwire_store_waits_total",
                "Times that a session was read slower because the store was behind.",
            ),
            batches_stored: counter("inkwire_batches_stored_total", "Batches made durable."),
            store_batches: histogram("inkwire_store_write_batches", "Batches of one write to the store."),
            store_seconds: histogram("inkwire_store_write_seconds", "How long one write to the store took."),
            store_failures: counter("inkwire_store_failures_total", "Writes that the store refused."),
            store_queue_bytes: gauge("inkwire_store_queue_bytes", "Bytes that wait for the store."),
            folds: counter("inkwire_folds_total", "Snapshots made."),
            fold_seconds: histogram("inkwire_fold_seconds", "How long making and committing a snapshot took."),
            memory_budget_bytes: gauge("inkwire_memory_budget_bytes", "Bytes that rooms may use together."),
            memory_bytes: gauge("inkwire_memory_bytes", "Bytes that rooms use together."),
            room_bytes,
            dropped,
            refused: counter("inkwire_batches_refused_total", "Batches that were refused for what they are."),
            store: StoreMetrics {
                retries: counter("inkwire_store_retries_total", "Statements that were sent to the cluster again."),
                timeouts: counter("inkwire_store_timeouts_total", "Statements that had no answer in time."),
                repeated_writes: counter(
                    "inkwire_store_repeated_rows_total",
                    "Rows written into a second segment because the first was sealed meanwhile.",
                ),
                conflicts: counter(
                    "inkwire_store_conflicts_total",
                    "Rows read with the key of another row and other bytes.",
                ),
                segments_begun: counter("inkwire_store_segments_begun_total", "Segments begun."),
                segments_deleted: counter("inkwire_store_segments_deleted_total", "Segments deleted after a fold."),
                loads_started_over: counter(
                    "inkwire_store_loads_started_over_total",
                    "Loads that were overtaken by a fold.",
                ),
                outages: counter("inkwire_store_outages_total", "Times that the cluster was found to be away."),
                drained: counter("inkwire_spool_drained_total", "Rows written out of an earlier life's spool."),
                spool_bytes: gauge("inkwire_spool_bytes", "Bytes that the spool takes, about."),
            },
            store_condition: gauge(
                "inkwire_store_condition",
                "0: the store serves; 1: it is away; 2: and the spool is full.",
            ),
            relief: Relief {
                rooms: payer("empty_room"),
                folds: payer("early_fold"),
                readers: payer("slow_readers"),
                writers: payer("writers"),
                opens: payer("opens"),
            },
            recorder,
        }
    }

    /// What all rooms keep together, and how many bytes of the budget that is.
    pub fn set_room_bytes(&self, usage: &Usage, used: usize) {
        let bytes = [
            usage.tail_bytes,
            usage.undurable_bytes,
            usage.kept_bytes,
            usage.waiting_bytes,
            usage.presence_bytes,
            usage.snapshot_bytes,
            usage.pinned_bytes,
            usage.queued_bytes,
        ];
        for (gauge, bytes) in self.room_bytes.iter().zip(bytes) {
            gauge.set(bytes as f64);
        }
        self.memory_bytes.set(used as f64);
    }

    /// What the store did beside what it was asked, since it was opened.
    pub fn set_store_counts(&self, counts: Counts) {
        let store = &self.store;
        for (counter, count) in [
            (&store.retries, counts.retries),
            (&store.timeouts, counts.timeouts),
            (&store.repeated_writes, counts.repeated_writes),
            (&store.conflicts, counts.conflicts),
            (&store.segments_begun, counts.segments_begun),
            (&store.segments_deleted, counts.segments_deleted),
            (&store.loads_started_over, counts.loads_started_over),
            (&store.outages, counts.outages),
            (&store.drained, counts.drained),
        ] {
            counter.absolute(count);
        }
        store.spool_bytes.set(counts.spool_bytes as f64);
    }

    /// How the store is.
    pub fn set_store_condition(&self, condition: Condition) {
        self.store_condition.set(match condition {
            Condition::Serving => 0.0,
            Condition::Away => 1.0,
            Condition::Full => 2.0,
        });
    }

    /// What one room dropped.
    pub fn count_drops(&self, drops: Drops) {
        let Drops { batches, readers, offers, presence, refused } = drops;
        self.refused.increment(refused);
        for (counter, count) in self.dropped.iter().zip([batches, readers, offers, presence]) {
            counter.increment(count);
        }
    }

    /// Counts a session for as long as the answer lives.
    pub fn session(&self, transport: Transport) -> OpenSession {
        self.sessions_opened[transport as usize].increment(1);
        let gauge = self.sessions[transport as usize].clone();
        gauge.increment(1.0);
        OpenSession(gauge)
    }

    /// Counts a session's end, by the name of its code.
    pub fn session_closed(&self, code: &'static str) {
        let key = Key::from_parts("inkwire_sessions_closed_total", vec![Label::new("code", code)]);
        self.recorder.register_counter(&key, &METADATA).increment(1);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds what histograms have gathered; called from time to time so that they do not grow between scrapes.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// One open session in the gauge.
pub struct OpenSession(Gauge);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
