//! Random legal and illegal events at both machines. The rigs assert the invariants of the protocol after every event; here the
//! sequences are made, shrunk, and driven to their end.

use lastword_session::State;
use lastword_session::fuzz::{self, Audio, ClientOp, ClientRig, ServerOp, ServerRig, Text};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

/// What is needed to make mostly sensible events: whether things have likely begun or ended.
#[derive(Clone, Debug)]
struct Progressed {
    policy: u8,
    configured: bool,
    ready: bool,
    ended: bool,
}

struct Server;

impl ReferenceStateMachine for Server {
    type State = Progressed;
    type Transition = ServerOp;

    fn init_state() -> BoxedStrategy<Progressed> {
        (0_u8..3).prop_map(|policy| Progressed { policy, configured: false, ready: false, ended: false }).boxed()
    }

    fn transitions(state: &Progressed) -> BoxedStrategy<ServerOp> {
        let begin = (any::<bool>(), any::<bool>())
            .prop_map(|(interim_results, vad_events)| ServerOp::Text(Text::Config { interim_results, vad_events }));
        let (begin_weight, ready_weight) = (if state.configured { 1 } else { 20 }, if state.ready { 1 } else { 10 });
        let engine_weight = if state.ready { 12 } else { 1 };
        let end_weight = if state.ended { 2 } else { 1 };
        prop_oneof![
            begin_weight => begin,
            ready_weight => Just(ServerOp::EngineReady),
            engine_weight => engine(),
            12 => client(),
            end_weight => Just(ServerOp::Text(Text::EndOfStream)),
            3 => (0_u32..40_000).prop_map(|ms| ServerOp::Advance { ms }),
            1 => rare(),
        ]
        .boxed()
    }

    fn apply(mut state: Progressed, op: &ServerOp) -> Progressed {
        state.configured |= matches!(op, ServerOp::Text(Text::Config { .. }));
        state.ready |= state.configured && *op == ServerOp::EngineReady;
        state.ended |= state.ready && *op == ServerOp::Text(Text::EndOfStream);
        state
    }
}

fn client() -> impl Strategy<Value = ServerOp> {
    prop_oneof![
        6 => (1_u16..1_500).prop_map(|ms| ServerOp::Binary(Audio::Ms(ms))),
        1 => Just(ServerOp::Binary(Audio::Empty)),
        1 => Just(ServerOp::Binary(Audio::Broken)),
        3 => any::<u8>().prop_map(|id| ServerOp::Text(Text::Flush(id))),
        1 => Just(ServerOp::Text(Text::Keepalive(None))),
        2 => any::<u8>().prop_map(|seq| ServerOp::Text(Text::Keepalive(Some(u64::from(seq))))),
        1 => Just(ServerOp::Text(Text::Update)),
        1 => Just(ServerOp::Text(Text::Unknown)),
        1 => Just(ServerOp::Text(Text::Bad)),
        1 => ".{0,30}".prop_map(|text| ServerOp::Text(Text::Raw(text))),
    ]
}

fn engine() -> impl Strategy<Value = ServerOp> {
    let ms = || 0_u32..60_000;
    prop_oneof![
        4 => (0_u8..30, any::<bool>(), ms(), ms())
            .prop_map(|(segment, text, start_ms, end_ms)| ServerOp::Partial { segment, text, start_ms, end_ms }),
        4 => (0_u8..30, any::<bool>(), ms(), ms())
            .prop_map(|(segment, text, start_ms, end_ms)| ServerOp::Final { segment, text, start_ms, end_ms }),
        1 => ms().prop_map(|start_ms| ServerOp::SpeechStarted { start_ms }),
        1 => ms().prop_map(|end_ms| ServerOp::SpeechEnded { end_ms }),
        3 => ms().prop_map(|ms| ServerOp::Progress { ms }),
        1 => (0_u32..2_000).prop_map(|ms| ServerOp::Backlog { ms }),
        3 => prop::bool::weighted(0.1).prop_map(|wrong| ServerOp::Flushed { wrong }),
        1 => Just(ServerOp::Drained),
    ]
}

fn rare() -> impl Strategy<Value = ServerOp> {
    prop_oneof![
        Just(ServerOp::Close(Some(1000))),
        Just(ServerOp::Close(None)),
        Just(ServerOp::Loss),
        Just(ServerOp::EngineRefused),
        Just(ServerOp::Failed),
        Just(ServerOp::ShutDown),
        Just(ServerOp::Text(Text::Oversize)),
        Just(ServerOp::Text(Text::BadConfig)),
        Just(ServerOp::Binary(Audio::Oversize)),
    ]
}

struct ServerTest;

impl StateMachineTest for ServerTest {
    type SystemUnderTest = ServerRig;
    type Reference = Server;

    fn init_test(reference: &Progressed) -> ServerRig {
        ServerRig::new(reference.policy)
    }

    fn apply(mut rig: ServerRig, _: &Progressed, op: ServerOp) -> ServerRig {
        rig.apply(&op);
        // From wherever this led, steps that somebody owes lead to the end, without a timer.
        let mut rest = rig.clone();
        let fired = rest.fired().len();
        rest.finish();
        assert!(rest.fired()[fired..].is_empty());
        rig
    }

    fn teardown(mut rig: ServerRig, _: Progressed) {
        rig.finish();
        assert_eq!(rig.state(), State::Closed);
    }
}

struct Client;

impl ReferenceStateMachine for Client {
    type State = Progressed;
    type Transition = ClientOp;

    fn init_state() -> BoxedStrategy<Progressed> {
        Just(Progressed { policy: 0, configured: true, ready: false, ended: false }).boxed()
    }

    fn transitions(state: &Progressed) -> BoxedStrategy<ClientOp> {
        let ready_weight = if state.ready { 1 } else { 8 };
        prop_oneof![
            ready_weight => Just(ClientOp::Ready),
            10 => Just(ClientOp::Transmitted),
            8 => server(),
            8 => application(),
            3 => (0_u32..40_000).prop_map(|ms| ClientOp::Advance { ms }),
            1 => prop_oneof![
                Just(ClientOp::Close(Some(1000))),
                Just(ClientOp::Close(None)),
                Just(ClientOp::Loss),
                Just(ClientOp::Cancel),
                Just(ClientOp::Error { fatal: true }),
                (any::<bool>(), any::<bool>())
                    .prop_map(|(complete, honest)| ClientOp::SessionEnded { complete, honest }),
            ],
        ]
        .boxed()
    }

    fn apply(mut state: Progressed, op: &ClientOp) -> Progressed {
        state.ready |= *op == ClientOp::Ready;
        state.ended |= *op == ClientOp::End;
        state
    }
}

fn server() -> impl Strategy<Value = ClientOp> {
    prop_oneof![
        2 => (0_u8..20).prop_map(|id| ClientOp::Partial { id }),
        3 => (0_u8..20).prop_map(|id| ClientOp::Final { id }),
        1 => Just(ClientOp::SpeechStarted),
        3 => (0_u8..6).prop_map(|id| ClientOp::Flushed { id }),
        1 => (0_u8..6).prop_map(|seq| ClientOp::Ack { seq }),
        2 => (0_u8..10, 0_u32..20_000).prop_map(|(seq, ms)| ClientOp::Progress { seq, ms }),
        1 => Just(ClientOp::Warning),
        1 => Just(ClientOp::Error { fatal: false }),
        1 => ".{0,30}".prop_map(ClientOp::Raw),
        1 => Just(ClientOp::Binary),
    ]
}

fn application() -> impl Strategy<Value = ClientOp> {
    prop_oneof![
        6 => any::<u16>().prop_map(|bytes| ClientOp::Push { bytes }),
        2 => (0_u8..6).prop_map(|id| ClientOp::Flush { id }),
        1 => Just(ClientOp::End),
    ]
}

struct ClientTest;

impl StateMachineTest for ClientTest {
    type SystemUnderTest = ClientRig;
    type Reference = Client;

    fn init_test(_: &Progressed) -> ClientRig {
        ClientRig::new()
    }

    fn apply(mut rig: ClientRig, _: &Progressed, op: ClientOp) -> ClientRig {
        rig.apply(&op);
        let mut rest = rig.clone();
        let fired = rest.fired().len();
        rest.finish();
        assert!(rest.fired()[fired..].is_empty());
        rig
    }

    fn teardown(mut rig: ClientRig, _: Progressed) {
        rig.finish();
        assert_eq!(rig.state(), State::Closed);
    }
}

/// The usual number of cases (256, or `PROPTEST_CASES`) by this. What is found is written down as a test of its own.
fn config(divisor: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: (default.cases / divisor).max(1), failure_persistence: None, ..default }
}

prop_state_machine! {
    #![proptest_config(config(4))]

    #[test]
    fn a_server_keeps_the_protocol_whatever_comes(sequential 1..60 => ServerTest);

    #[test]
    fn a_client_keeps_the_protocol_whatever_comes(sequential 1..60 => ClientTest);
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn arbitrary_bytes_break_no_invariant(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz::drive(&data);
    }
}
