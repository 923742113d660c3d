//! The facade over the in-memory store.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::events::RouteSet;
use super::*;
use crate::backbone::Stopper;
use crate::flags::FlagKey;
use crate::kernel::{
    Actor, Context, CorrelationId, Event, EventPosition, PageRequest, Permissions, Principal, RawId,
    SessionId, UserId,
};
use crate::ports::MemoryBackends;
use crate::ports::limiter::{LocalLimiter, Quota};
use crate::ports::runtime::SimRuntime;

struct World {
    sim: SimRuntime,
    signals: Arc<dyn Signals>,
    db: Database,
    flags: Flags,
    gateway: Gateway,
}

fn own() -> OwnLimits {
    let quota = |burst| Quota { rate: 1, per: Duration::from_secs(1), burst };
    OwnLimits { default: quota(5), sign_in: quota(2) }
}

impl World {
    fn new() -> World {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let (signals, flags, gateway) = sim.block_on(async {
            let backends = memory.backends().await.unwrap();
            let flags = Flags::open(&backends).await.unwrap();
            let gateway = Gateway::open(&backends, &flags, own()).await.unwrap();
            (backends.signals, flags, gateway)
        });
        let db = gateway.database().clone();
        World { sim, signals, db, flags, gateway }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    fn put(&self, route_name: &str, route: &Route) -> Result<NamedRoute> {
        self.run(self.gateway.put(&admin(), &name(route_name), None, route))
    }

    fn goes(&self, path: &str) -> String {
        match self.gateway.table().resolve(&RequestHead { method: "GET", path, ..RequestHead::default() }) {
            Resolution::Route(route) => route.name().to_string(),
            Resolution::Refused(error) => error.code().to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn route(&self, path: &str) -> Arc<CompiledRoute> {
        match self.gateway.table().resolve(&RequestHead { method: "GET", path, ..RequestHead::default() }) {
            Resolution::Route(route) => route,
            other => panic!("{other:?}"),
        }
    }
}

fn admin() -> Context {
    Context::service("test")
}

fn name(text: &str) -> RouteName {
    text.parse().unwrap()
}

fn route(path: &str, more: Value) -> Route {
    let mut json = json!({"match": {"path": path}, "access": "open", "target": {"upstreams": ["http://a"]}});
    for (name, value) in more.as_object().unwrap() {
        json[name] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

fn principal(user: u8, session: u8, permissions: &[&str]) -> Principal {
    let permissions = permissions.iter().map(|text| text.parse().unwrap()).collect();
    Principal {
        actor: Actor::User(UserId(RawId([user; 16]))),
        session: Some(SessionId(RawId([session; 16]))),
        permissions: Permissions::Only(Arc::new(permissions)),
    }
}

fn nobody() -> Principal {
    Context::anonymous("req_1".parse::<CorrelationId>().unwrap()).principal
}

fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([10, 0, 0, last]))
}

#[test]
fn a_change_is_in_force_when_it_is_answered() {
    let world = World::new();
    assert_eq!(world.goes("/x"), "gateway.no_route");
    assert_eq!(world.put("one", &route("/x", json!({}))).unwrap().revision, 1);
    assert_eq!(world.goes("/x"), "one");
    assert_eq!(world.put("one", &route("/y", json!({}))).unwrap().revision, 2);
    assert_eq!((world.goes("/x"), world.goes("/y")), ("gateway.no_route".into(), "one".into()));
    world.run(world.gateway.delete(&admin(), &name("one"), Some(2))).unwrap();
    assert_eq!(world.goes("/y"), "gateway.no_route");
    let gone = world.run(world.gateway.get(&admin(), &name("one"))).unwrap_err();
    assert_eq!(gone.code(), "gateway.route_not_found");
}

#[test]
fn a_request_keeps_the_table_it_began_with_and_endpoints_keep_their_health() {
    let world = World::new();
    world.put("one", &route("/x", json!({}))).unwrap();
    let (table, before) = (world.gateway.table(), world.route("/x"));
    world.put("one", &route("/x", json!({"timeout_ms": 5}))).unwrap();
    assert_eq!(table.routes()[0].timeout(), Duration::from_secs(30));
    assert_eq!(world.route("/x").timeout(), Duration::from_millis(5));
    assert!(Arc::ptr_eq(before.pool(None), world.route("/x").pool(None)));
}

#[test]
fn what_one_route_answers_no_other_may() {
    let world = World::new();
    world.put("one", &route("/x/{a}", json!({}))).unwrap();
    let error = world.put("two", &route("/x/{b}", json!({}))).unwrap_err();
    assert_eq!((error.code(), error.context().next()), ("gateway.route_conflict", Some(("route", "one"))));
    let only_get = json!({"match": {"path": "/x/{b}", "methods": ["GET"]}});
    world.put("two", &route("/x/{b}", only_get)).unwrap();
    assert_eq!(world.goes("/x/1"), "two");
    world.put("one", &route("/z", json!({}))).unwrap();
    world.put("three", &route("/x/{c}", json!({}))).unwrap();
    world.run(world.gateway.delete(&admin(), &name("two"), None)).unwrap();
    assert_eq!(world.goes("/x/1"), "three");
}

#[test]
fn faults_and_stale_changes_are_refused_and_events_tell_the_rest() {
    let world = World::new();
    let error = world.put("one", &route("/v1/x", json!({}))).unwrap_err();
    assert_eq!(
        (error.code(), error.context().next()),
        ("gateway.invalid_route", Some(("pointer", "/match/path")))
    );
    let put = |revision| {
        world
            .run(world.gateway.put(&admin(), &name("one"), revision, &route("/x", json!({}))))
            .map(|route| route.revision)
    };
    assert_eq!(put(Some(1)).unwrap_err().code(), "gateway.stale_revision");
    assert_eq!(put(None).unwrap(), 1);
    assert_eq!(put(Some(1)).unwrap(), 1);
    assert_eq!(put(Some(2)).unwrap_err().code(), "gateway.stale_revision");
    let events = world.run(world.db.store.outbox(EventPosition::START, 10)).unwrap();
    let events: Vec<_> = events
        .iter()
        .map(|(_, json)| Event::from_json(json).unwrap().decode::<RouteSet>().unwrap().unwrap())
        .collect();
    assert_eq!(events, [RouteSet { route: name("one"), revision: 1, table_revision: 1 }]);
}

#[test]
fn who_may_do_what() {
    let world = World::new();
    world.put("one", &route("/x", json!({}))).unwrap();
    let signed_in = Context::new(principal(1, 1, &["flags:write"]), "req_1".parse().unwrap());
    let nobody = Context::anonymous("req_1".parse().unwrap());
    for (context, code) in [(&nobody, "auth.not_signed_in"), (&signed_in, "auth.forbidden")] {
        let (gateway, one) = (&world.gateway, &name("one"));
        let errors = [
            world.run(gateway.put(context, one, None, &route("/y", json!({})))).map(drop),
            world.run(gateway.delete(context, one, None)),
            world.run(gateway.get(context, one)).map(drop),
            world.run(gateway.list(context, &PageRequest::default())).map(drop),
        ];
        assert!(errors.into_iter().all(|result| result.unwrap_err().code() == code));
    }
}

#[test]
fn access_is_open_signed_in_or_a_permission() {
    let world = World::new();
    for (path, access) in [("/open", "open"), ("/in", "signed_in"), ("/orders", "orders:read")] {
        world.put(&path[1..], &route(path, json!({"access": access}))).unwrap();
    }
    let verdict = |path, principal: &Principal| {
        let route = world.route(path);
        let admission = world.run(world.gateway.admit(Destination::Route(&route), principal, address(1)));
        admission.verdict.err().map(|error| error.code())
    };
    let (some, reader) = (principal(1, 1, &[]), principal(2, 2, &["orders:read"]));
    assert_eq!(["/open", "/in", "/orders"].map(|path| verdict(path, &reader)), [None, None, None]);
    assert_eq!(
        ["/open", "/in", "/orders"].map(|path| verdict(path, &some)),
        [None, None, Some("auth.forbidden")]
    );
    let not = Some("auth.not_signed_in");
    assert_eq!(["/open", "/in", "/orders"].map(|path| verdict(path, &nobody())), [None, not, not]);
    let destination = Destination::Own { path: "/v1/users", access: &Access::SignedIn };
    assert_eq!(
        world.run(world.gateway.admit(destination, &nobody(), None)).verdict.unwrap_err().code(),
        "auth.not_signed_in"
    );
}

#[test]
fn limits_count_addresses_before_and_users_and_keys_after_it_is_known_who_asks() {
    let world = World::new();
    for by in ["address", "user", "key"] {
        let limit = json!({"limit": {"per": "minute", "rate": 1, "burst": 2, "by": by}});
        world.put(by, &route(&format!("/{by}"), limit)).unwrap();
    }
    let passes = |path: &str, principal: &Principal, last| {
        let route = world.route(path);
        let destination = Destination::Route(&route);
        let early = world.run(world.gateway.receive(destination, address(last)));
        let late = world.run(world.gateway.admit(destination, principal, address(last)));
        assert_eq!((early.limit.is_some(), late.limit.is_some()), (path == "/address", path != "/address"));
        early
            .verdict
            .and(late.verdict)
            .map_err(|error| assert_eq!(error.code(), "gateway.rate_limited"))
            .is_ok()
    };
    let passed = |path: &str, requests: &[(u8, u8, u8)]| {
        let passes =
            |(user, session, last): &(u8, u8, u8)| passes(path, &principal(*user, *session, &[]), *last);
        requests.iter().map(passes).collect::<Vec<_>>()
    };
    assert_eq!(passed("/address", &[(1, 1, 1), (2, 2, 1), (3, 3, 1), (1, 1, 2)]), [true, true, false, true]);
    assert_eq!(passed("/user", &[(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 1)]), [true, true, false, true]);
    assert_eq!(passed("/key", &[(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 2, 1)]), [true, true, false, true]);
}

#[test]
fn our_own_endpoints_have_limits_and_those_for_signing_in_are_tighter() {
    let world = World::new();
    let passed = |path, last| {
        let destination = Destination::Own { path, access: &Access::Open };
        (0..10)
            .filter(|_| world.run(world.gateway.receive(destination, address(last))).verdict.is_ok())
            .count()
    };
    assert_eq!((passed("/v1/auth/login", 1), passed("/v1/users", 1), passed("/v1/accounts", 1)), (2, 5, 0));
    assert_eq!(passed("/v1/auth/login", 2), 2);
    let destination = Destination::Own { path: "/v1/auth/login", access: &Access::Open };
    let refused = world.run(world.gateway.receive(destination, address(2)));
    assert_eq!(
        refused.limit.unwrap().headers().map(|(_, value)| value),
        ["\"sign-in\";q=2;w=2", "\"sign-in\";r=0;t=2"]
    );
    assert_eq!(
        refused.verdict.unwrap_err().retry_advice(),
        crate::kernel::Retry::After(Duration::from_secs(1))
    );
}

#[test]
fn a_flag_switches_the_target_at_once() {
    let world = World::new();
    let switch = json!({"flag": {"key": "new-orders", "variants": {"on": {"upstreams": ["http://b"]}}}});
    world.put("orders", &route("/orders", switch)).unwrap();
    let host = |principal: &Principal| {
        let route = world.route("/orders");
        let pool = world.gateway.pool(&route, principal, address(1));
        pool.endpoints()[0].url().host().to_owned()
    };
    assert_eq!(host(&nobody()), "a");
    let flag: FlagKey = "new-orders".parse().unwrap();
    let definition = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
        "targeting": {"if": [{"==": [{"var": "signed_in"}, "true"]}, "on"]}
    });
    world.run(world.flags.put(&admin(), &flag, None, &definition)).unwrap();
    assert_eq!((host(&nobody()), host(&principal(1, 1, &[]))), ("a".into(), "b".into()));
    world.run(world.flags.kill(&admin(), &flag, None)).unwrap();
    assert_eq!(host(&principal(1, 1, &[])), "a");
    let half = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false},
        "targeting": {"fractional": [["on", 1], ["off", 1]]}
    });
    world.run(world.flags.put(&admin(), &flag, None, &half)).unwrap();
    let hosts: Vec<_> = (0..64).map(|user| host(&principal(user, user, &[]))).collect();
    assert!(hosts.contains(&"a".to_owned()) && hosts.contains(&"b".to_owned()));
    assert_eq!(hosts, (0..64).map(|user| host(&principal(user, 99, &[]))).collect::<Vec<_>>());
}

#[test]
fn another_node_follows_and_a_new_start_finds_everything() {
    let world = World::new();
    let open = || {
        let limiter = Arc::new(LocalLimiter::default());
        world
            .run(Gateway::over(world.db.clone(), &world.signals, limiter, world.flags.clone(), own()))
            .unwrap()
    };
    let other = open();
    world.run(async {
        let stopper = Stopper::new();
        for task in &other.parts().tasks {
            task.start(&*world.sim.runtime(), stopper.shutdown());
        }
        world.sim.runtime().sleep(Duration::from_millis(1)).await;
        world.gateway.put(&admin(), &name("one"), None, &route("/x", json!({}))).await.unwrap();
        world.sim.runtime().sleep(Duration::from_millis(1)).await;
        assert_eq!(other.table().routes().len(), 1);
        stopper.stop().await;
    });
    assert_eq!(open().table().routes().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is set and deleted, the table is that of the routes that were accepted, and compiles.
    #[test]
    fn the_table_is_always_that_of_the_stored_routes(
        steps in proptest::collection::vec((0_u8..4, "r[0-3]", "(/(a|\\{x\\}|\\{y\\})){1,2}", 0_usize..3), 1..20)
    ) {
        let world = World::new();
        let methods = [json!(null), json!(["GET"]), json!(["GET", "PUT"])];
        for (step, route_name, path, which) in steps {
            let matching = json!({"match": {"path": path, "methods": methods[which]}});
            // Refusals are part of it: what counts is that table and store agree afterwards.
            let _ = match step {
                0 => world.run(world.gateway.delete(&admin(), &name(&route_name), None)),
                _ => world.put(&route_name, &route(&path, matching)).map(drop),
            };
            let stored = world.run(world.gateway.list(&admin(), &PageRequest::default())).unwrap().items;
            let fresh = RouteTable::compile(&stored, &RouteTable::default()).unwrap();
            let table = world.gateway.table();
            let names = |table: &RouteTable| table.routes().iter().map(|route| route.name().to_string()).collect::<Vec<_>>();
            prop_assert_eq!(names(&table), names(&fresh));
            for path in ["/a", "/b", "/a/b", "/b/a"] {
                let head = RequestHead { method: "GET", path, ..RequestHead::default() };
                prop_assert_eq!(format!("{:?}", table.resolve(&head)), format!("{:?}", fresh.resolve(&head)));
            }
        }
    }
}
