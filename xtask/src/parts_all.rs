//! The parts that only `cargo xtask test --all` runs: they need Node, PyPI clients, cargo plugins, nightly, or much time.
//!
//! Owns what each needs and how it is had. A part whose needs cannot be met says so and is NOT RUN, loudly.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bring;
use crate::certify::{self, Programs};
use crate::facts;
use crate::parts::{Context, FUZZ_MANIFEST, MATRIX_HELD, Part, Plan, Step, Tier, has_fuzz, matrix, own_step};
use crate::tools::Host;

/// The parts, in the order they run.
pub(crate) fn parts() -> Vec<Part> {
    let part = |name, about, budget_s, plan| Part {
        name,
        about,
        budget_s,
        tier: Tier::All,
        needs_build_tools: false,
        shows: |_| false,
        bounds: &[],
        plan,
    };
    vec![
        part("deny", "licences, bans and sources of all dependencies", 2400, deny),
        Part {
            shows: |line| line.contains(" states") || line.starts_with("together"),
            ..part("check-deep", "the session machines, three million states at least", 1800, |context| {
                Plan::Run(vec![own_step(context, &["check", "--deep"])])
            })
        },
        part("asyncapi", "the AsyncAPI document, read by @asyncapi/parser", 600, asyncapi),
        Part {
            needs_build_tools: true,
            shows: |_| true,
            ..part("openai-client", "PyPI's openai client transcribes a fixture", 1800, openai_client)
        },
        Part {
            needs_build_tools: true,
            shows: |_| true,
            ..part(
                "fastapi-client",
                "a client that knows only whisper-fastapi, through our server, and certified mended and as it was",
                1800,
                fastapi_client,
            )
        },
        Part {
            needs_build_tools: true,
            shows: |_| true,
            ..part(
                "fastapi-service",
                "a service that knows only whisper-fastapi, mended and as it was",
                1800,
                fastapi_service,
            )
        },
        Part {
            needs_build_tools: true,
            shows: |_| true,
            ..part("python-server", "an independent server on Python's websockets is certified", 1800, python_server)
        },
        Part {
            needs_build_tools: true,
            shows: |_| true,
            ..part("clients", "our SDK, and clients on Python's websockets and Node's ws, are certified", 1800, clients)
        },
        Part {
            needs_build_tools: true,
            shows: |line| line.contains(" at level ") || line.contains(" equal verdict vectors"),
            ..part("broken-clients", "broken clients: ten runs over sockets bring the same", 1800, broken_clients)
        },
        Part {
            needs_build_tools: true,
            shows: |line| {
                [
                    " passed in ",
                    "All checks passed",
                    "Success: no issues",
                    " at level 1: ",
                    ": caught in ",
                    " caught by name",
                    ".cert: ",
                ]
                .iter()
                .any(|end| line.contains(end))
            },
            ..part(
                "livekit",
                "the LiveKit plugin on the real livekit-agents: ruff, mypy, pytest, certified",
                1800,
                livekit,
            )
        },
        Part {
            needs_build_tools: true,
            shows: |line| !line.is_empty(),
            ..part("soak-all", "each correct server under each profile once", 3600, |context| {
                // The slow ones, of which there are five, take a quarter of an hour each and only wait.
                Plan::Run(vec![own_step(context, &["soak", "--seed", "1", "--parallel", "5"])])
            })
        },
        Part {
            needs_build_tools: true,
            shows: |line| !line.starts_with("test ") && !line.is_empty(),
            bounds: MATRIX_HELD,
            ..part(
                "slowest",
                "right servers and the slowest broken ones over real sockets, all mutants in memory, the default bound",
                2700,
                slowest,
            )
        },
        Part {
            shows: |line| ["$ rustup", "Done ", "stat::average"].iter().any(|start| line.starts_with(start)),
            ..part("fuzz", "every fuzz target, under nightly", 4 * 3600, fuzz)
        },
    ]
}

/// Whatever has a time to keep; nothing runs beside it.
fn slowest(context: &Context<'_>) -> Plan {
    let in_time = own_step(context, &["check", "--in-time"]);
    // Twice: the shorter time is the one of the work, the rest of the longer one is the machine's.
    Plan::Run(vec![own_step(context, &["slowest"]), in_time, matrix(context), matrix(context)])
}

fn deny(context: &Context<'_>) -> Plan {
    let mut steps: Vec<Step> = cargo_plugin(context, "cargo-deny", CARGO_DENY).into_iter().collect();
    let mut check = with_plugins(context, context.workspace.cargo());
    check.args(["deny", "--locked", "check", "licenses", "bans", "sources"]);
    steps.push(check.into());
    Plan::Run(steps)
}

fn asyncapi(context: &Context<'_>) -> Plan {
    let document = context.workspace.root.join("schemas").join("v1").join("asyncapi.yaml");
    if !document.is_file() {
        return Plan::NotRun("there is no schemas/v1/asyncapi.yaml".to_owned());
    }
    let Some(node) = Host::from_env().find("node") else {
        return Plan::NotRun("no node on PATH; install Node.js".to_owned());
    };
    let mut validate = context.workspace.program(node);
    validate.arg(script(context, "validate_asyncapi.mjs")).arg(bring::npm_dir(context.workspace)).arg(document);
    Plan::Run(vec![own_step(context, &["tools", "--npm"]).bringing("@asyncapi/parser"), validate.into()])
}

fn openai_client(context: &Context<'_>) -> Plan {
    Plan::Run(python_client(context, "openai_client.py", &[]))
}

fn fastapi_client(context: &Context<'_>) -> Plan {
    let all = facts::client_cases(&context.workspace.root);
    let folder = context.workspace.root.join(FASTAPI_SERVICE);
    let client = folder.join("client.py");
    let mut steps = python_client(context, "fastapi_client.py", &["--client".into(), client.into()]);
    let python = bring::python_clients_path(context.workspace);
    let driver = [python.clone().into_os_string(), folder.join("driver.py").into_os_string()];
    let judged = ["--dialect", "whisper-fastapi", "--cases", all.as_str(), "--not-applicable", "10", "--jobs", "12"];
    // The wire announces no interval, and the usual one is longer than any case drains; this client does not dial again.
    let open = ["client/end/final-3-s-late", "client/keepalive/none-after-the-end", REDIALS[0], REDIALS[1]];
    let open: Vec<&str> = open.iter().flat_map(|case| ["--open", *case]).collect();
    let broken = FASTAPI_BROKEN.iter().flat_map(|copy| ["--broken", *copy]);
    let options: Vec<&str> = judged.into_iter().chain(open.clone()).chain(broken).collect();
    steps.push(certify_client(context, &python, Some("whisper-fastapi"), &options, driver).into());
    // And as a person starts it, who has no driver and gives it no credential.
    let alone = ["--level", "0", "--open", "client/security/credential", "--broken", FASTAPI_BROKEN[0]];
    let options: Vec<&str> = judged.into_iter().chain(open).chain(alone).chain(["--breaks-with=--{name}"]).collect();
    let program = [python.clone().into(), folder.join("client.py").into()];
    let program = program.into_iter().chain(AT_LEVEL_0.map(OsString::from));
    steps.push(certify_client(context, &python, Some("whisper-fastapi-level-0"), &options, program).into());
    Plan::Run(steps)
}

fn fastapi_service(context: &Context<'_>) -> Plan {
    let folder = context.workspace.root.join(FASTAPI_SERVICE);
    let mut check = context.workspace.program(bring::fastapi_path(context.workspace));
    check
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script(context, "fastapi_service.py"))
        .args([OsString::from("--harness"), Programs::expected(context.workspace).harness.into()])
        .args([OsString::from("--service"), folder.join("service.py").into()])
        .args([OsString::from("--certificates"), context.workspace.target_dir.join(CERTIFICATES).into()]);
    Plan::Run(vec![
        own_step(context, &["tools", "--fastapi"]).bringing("FastAPI from PyPI"),
        certify::build_command(context.workspace, "release").into(),
        check.into(),
    ])
}

/// The steps of a check with a client from Python against the reference server on the fixtures.
fn python_client(context: &Context<'_>, check: &str, more: &[OsString]) -> Vec<Step> {
    let programs = Programs::expected(context.workspace);
    let root = &context.workspace.root;
    let mut transcribe = context.workspace.program(bring::python_clients_path(context.workspace));
    transcribe
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script(context, check))
        .args([OsString::from("--server"), programs.server.into()])
        .args([OsString::from("--model"), root.join(certify::FIXTURE_MODEL).into()])
        .args([OsString::from("--audio"), root.join(certify::FIXTURE_AUDIO).into()])
        .args(more);
    vec![
        own_step(context, &["tools", "--clients"]).bringing("the PyPI clients"),
        certify::build_command(context.workspace, "release").into(),
        transcribe.into(),
    ]
}

fn livekit(context: &Context<'_>) -> Plan {
    let all = facts::client_cases(&context.workspace.root);
    let plugin = Path::new(LIVEKIT_PLUGIN);
    if !context.workspace.root.join(plugin).join("pyproject.toml").is_file() {
        return Plan::NotRun(format!("there is no {LIVEKIT_PLUGIN}/pyproject.toml"));
    }
    // From the root: there no folder `livekit` stands in the way of the installed one.
    let python = |arguments: &[&str]| {
        let mut command = context.workspace.program(bring::livekit_path(context.workspace));
        command.arg("-m").args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let mut install = python(&["pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]);
    install.args(["--no-build-isolation", "--force-reinstall"]).arg(plugin);
    let mut lint = python(&["ruff", "check", "--no-cache"]);
    lint.arg(plugin);
    let mut format = python(&["ruff", "format", "--no-cache", "--check"]);
    format.arg(plugin);
    let types = |what: &[&str]| {
        let mut command = python(&["mypy", "--config-file"]);
        command.arg(plugin.join("pyproject.toml")).args(what).env("MYPYPATH", plugin.join("tests"));
        command.arg("--cache-dir").arg(context.workspace.tools_dir().join("mypy-cache"));
        command
    };
    let mut tests = python(&["pytest", "-p", "no:cacheprovider", "-q"]);
    tests.arg(plugin).env("LASTWORD_SERVER", Programs::expected(context.workspace).server);
    let interpreter = bring::livekit_path(context.workspace);
    let driver = [interpreter.clone(), context.workspace.root.join(plugin).join("tests").join("driver.py")];
    let certified = |name: &str, max_retry: &str, options: &[&str], broken: &[&'static str]| {
        let driver = driver.iter().map(OsString::from).chain(["--max-retry".into(), max_retry.into()]);
        let broken = broken.iter().flat_map(|copy| ["--broken", *copy]);
        let options: Vec<&str> = options.iter().copied().chain(["--jobs", "6"]).chain(broken).collect();
        certify_client(context, &interpreter, Some(name), &options, driver)
    };
    // Without dialling again, what a loss means for the application shows at once.
    let whole = ["--cases", all.as_str(), "--open", REDIALS[0], "--open", REDIALS[1]];
    let whole = certified("livekit", "0", &whole, &LIVEKIT_BROKEN);
    let redialling = certified("livekit-redialling", "3", &["--cases", all.as_str()], &LIVEKIT_BROKEN_REDIALLING);
    Plan::Run(vec![
        own_step(context, &["tools", "--livekit"]).bringing("livekit-agents from PyPI"),
        install.into(),
        lint.into(),
        format.into(),
        types(&["-p", "livekit.plugins.lastword"]).into(),
        types(&["plugins/livekit/tests"]).into(),
        certify::build_command(context.workspace, "release").into(),
        tests.into(),
        whole.into(),
        redialling.into(),
    ])
}

/// Our SDK, and the clients of the tests in Python and Node, which share nothing with it.
fn clients(context: &Context<'_>) -> Plan {
    let all = facts::client_cases(&context.workspace.root);
    let Some(node) = Host::from_env().find("node") else {
        return Plan::NotRun("no node on PATH; install Node.js".to_owned());
    };
    let python = bring::python_clients_path(context.workspace);
    let driver = |program: &Path, client: PathBuf| [program.into(), client.into(), "--driver".into()];
    // They do not dial again, so whether they tell a gap never arises, nor when they give up.
    let once = ["--cases", all.as_str(), "--jobs", "16", "--open", REDIALS[0], "--open", REDIALS[1]];
    let all_of_them = &once[..4];
    let ten_times: Vec<&str> = once.into_iter().chain(["--runs", "10"]).collect();
    // The SDK takes little of the machine: five certifications of it disturb each other no more than one.
    let at_once: Vec<&str> = ten_times.iter().copied().chain(["--at-once", "5"]).collect();
    let python_client = driver(&python, context.workspace.root.join(PYTHON_CLIENT));
    let node_client = driver(&node, bring::node_client_path(context.workspace));
    // What is not complete they tell by exceptions.
    let raising = |client: &[OsString; 3]| client.clone().into_iter().chain(["--raises".into()]);
    let (python_raises, node_raises) = (raising(&python_client), raising(&node_client));
    let (build_sdk, sdk) = released(context, "lastword-client-driver");
    // At both levels and behind every line; each passes under each condition but one. A line that stands still for 2 s at a time
    // makes right clients miss bounds of 1 s: there a run may end undecided, and none may fail.
    let soak = own_step(context, &["soak-clients", "--seed", "1", "--parallel", "6"]);
    Plan::Run(vec![
        own_step(context, &["tools", "--clients", "--node-client"]).bringing("the clients' packages"),
        certify::build_command(context.workspace, "release").into(),
        build_sdk.into(),
        certify_client(context, &python, Some("sdk"), &at_once, [sdk.clone().into()]).into(),
        certify_client(context, &python, None, &once, [sdk.clone().into(), "--retry".into()]).into(),
        certify_client(context, &python, Some("sdk-redialling"), all_of_them, [sdk.into(), "--redial".into()]).into(),
        certify_client(context, &python, Some("python"), &once, python_client).into(),
        certify_client(context, &python, None, &once, python_raises).into(),
        certify_client(context, &python, Some("node"), &ten_times, node_client).into(),
        certify_client(context, &python, None, &once, node_raises).into(),
        soak,
    ])
}

/// The clients with one fault each over real sockets: the same verdicts in each of ten runs.
fn broken_clients(context: &Context<'_>) -> Plan {
    let all = facts::client_cases(&context.workspace.root);
    let python = bring::python_clients_path(context.workspace);
    let (build_client, client) = released(context, "lastword-client-mutants");
    let broken = BROKEN_CLIENTS.iter().flat_map(|copy| ["--broken", *copy]);
    let options = ["--level", "0", "--cases", "1", "--only", SHORT_CASE, "--broken-runs", "10", "--jobs", "15"];
    let options: Vec<&str> = options.into_iter().chain(broken).collect();
    let program = std::iter::once(client.clone().into()).chain(AT_LEVEL_0.map(OsString::from));
    // And one of them over all cases. A run of it only waits, for four minutes, and so do ten.
    let whole = ["--cases", all.as_str(), "--open", REDIALS[0], "--open", REDIALS[1], "--jobs", "12"];
    let ten_times = ["--broken", BROKEN_CLIENTS[0], "--broken-all", "--broken-runs", "10", "--at-once", "10"];
    let whole: Vec<&str> = whole.into_iter().chain(ten_times).collect();
    let driver = [client.into(), "--driver".into()];
    Plan::Run(vec![
        own_step(context, &["tools", "--clients"]).bringing("the PyPI clients"),
        certify::build_command(context.workspace, "release").into(),
        build_client.into(),
        certify_client(context, &python, None, &options, program).into(),
        certify_client(context, &python, None, &whole, driver).into(),
    ])
}

/// The build of a package with one program of its own name, and where that lies then.
fn released(context: &Context<'_>, name: &str) -> (Command, PathBuf) {
    let mut build = context.workspace.cargo();
    build.args(["build", "--locked", "--profile", "release", "--package", name, "--bin", name]);
    (build, context.workspace.target_dir.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// The check of a client, by its driver or as it is, against all cases. `kept`: by which name its certificate is kept and verified.
fn certify_client(
    context: &Context<'_>,
    python: &Path,
    kept: Option<&str>,
    options: &[&str],
    command: impl IntoIterator<Item = OsString>,
) -> Command {
    let folder = context.workspace.target_dir.join(CERTIFICATES);
    let kept = kept.map(|name| [OsString::from("--certificate"), folder.join(format!("{name}.cert")).into()]);
    let mut check = context.workspace.program(python);
    check
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script(context, "certify_client.py"))
        .args([OsString::from("--harness"), Programs::expected(context.workspace).harness.into()])
        .args(options)
        .args(kept.into_iter().flatten())
        .arg("--")
        .args(command);
    check
}

fn python_server(context: &Context<'_>) -> Plan {
    let server = context.workspace.root.join(PYTHON_SERVER);
    if !server.is_file() {
        return Plan::NotRun(format!("there is no {PYTHON_SERVER}"));
    }
    let python = bring::python_clients_path(context.workspace);
    let subject = [python.into_os_string(), server.into_os_string(), "{port}".into()];
    let out = context.workspace.target_dir.join("certify-python");
    let mut judged = certify::foreign_command(&Programs::expected(context.workspace), &out, &subject);
    judged.current_dir(&context.workspace.root);
    Plan::Run(vec![
        own_step(context, &["tools", "--clients"]).bringing("the PyPI clients"),
        certify::build_command(context.workspace, "release").into(),
        make_folder(context, &out.join("logs")),
        judged.into(),
    ])
}

fn fuzz(context: &Context<'_>) -> Plan {
    if !has_fuzz(context) {
        return Plan::NotRun(format!("there is no {FUZZ_MANIFEST}"));
    }
    // Through rustup: inside `cargo xtask`, `cargo` is already one fixed toolchain and knows no `+nightly`.
    let Some(rustup) = Host::from_env().find("rustup") else {
        return Plan::NotRun("no rustup on PATH to reach a nightly compiler with".to_owned());
    };
    let nightly = |arguments: &[&str]| {
        let mut command = with_plugins(context, context.workspace.program(&rustup));
        command.args(["run", "nightly"]).args(arguments);
        command
    };
    if !succeeds(nightly(&["rustc", "--version"])) {
        return Plan::NotRun("no nightly compiler; run: rustup toolchain install nightly --profile minimal".to_owned());
    }
    let targets = match fuzz_targets(context) {
        Ok(targets) if targets.is_empty() => return Plan::NotRun(format!("{FUZZ_MANIFEST} has no target")),
        Ok(targets) => targets,
        Err(error) => return Plan::NotRun(format!("{FUZZ_MANIFEST} cannot be read: {error}")),
    };
    let mut steps: Vec<Step> = cargo_plugin(context, "cargo-fuzz", CARGO_FUZZ).into_iter().collect();
    for target in targets {
        let mut run = nightly(&["cargo", "fuzz", "run", "--fuzz-dir", "fuzz", &target]);
        // The first folder takes what is found; the committed seeds are only read.
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        run.arg(&corpus);
        if context.workspace.root.join(&seeds).is_dir() {
            run.arg(&seeds);
        }
        run.arg("--").arg(format!("-max_total_time={}", context.fuzz_seconds)).arg("-print_final_stats=1");
        steps.extend([make_folder(context, corpus.as_ref()), run.into()]);
    }
    Plan::Run(steps)
}

fn fuzz_targets(context: &Context<'_>) -> Result<Vec<String>, cargo_metadata::Error> {
    let mut command = cargo_metadata::MetadataCommand::new();
    let metadata = command.manifest_path(context.workspace.root.join(FUZZ_MANIFEST)).no_deps().exec()?;
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    Ok(targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect())
}

/// The step that installs a cargo plugin under the target folder; none if it is there already.
fn cargo_plugin(context: &Context<'_>, name: &'static str, version: &str) -> Option<Step> {
    let brought = context.cargo_tools.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if Host::from_env().find(name).is_some() || brought.is_file() {
        return None;
    }
    let mut install = context.workspace.cargo();
    install.args(["install", name, "--version", version, "--locked", "--root"]).arg(context.workspace.tools_dir());
    // Its build must not land among ours, nor be cleaned with them.
    install.arg("--target-dir").arg(context.workspace.tools_dir().join("build"));
    Some(Step::from(install).bringing(name))
}

fn with_plugins(context: &Context<'_>, mut command: Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(context.cargo_tools.clone()).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(dirs) {
        command.env("PATH", path);
    }
    command
}

fn make_folder(context: &Context<'_>, folder: &Path) -> Step {
    let mut command = context.workspace.program("mkdir");
    command.arg("-p").arg(folder);
    command.into()
}

fn succeeds(mut command: Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn script(context: &Context<'_>, name: &str) -> PathBuf {
    context.workspace.root.join("xtask").join("scripts").join(name)
}

const CARGO_DENY: &str = "0.20.2";
const CARGO_FUZZ: &str = "0.13.2";
const LIVEKIT_PLUGIN: &str = "plugins/livekit";
/// Broken copies of the plugin, the case that is meant for each, and the requirement that it breaks.
const LIVEKIT_BROKEN: [&str; 13] = [
    "KeepaliveInTheGather:client/end/no-close:END-C3",
    "ReturnsAtTheLastResult:client/end/ended-after-the-last-final:CLO-C1",
    "FlushIsTheEnd:client/calls/flush-of-nothing:FLU-C2",
    "NeverSaysTheEnd:client/end/ideal:END-C1",
    "EndsTwice:client/end/final-3-s-late:END-C2",
    "KeepsAliveAfterTheEnd:client/keepalive/none-after-the-end:KA-C3",
    "SwallowsErrors:client/errors/in-band:ERR-C2",
    "TakesACloseForSuccess:client/end/close-1000-before-the-final:CLO-C2",
    "WaitsForTheClose:client/end/no-close:END-C3",
    "DrainsForAFixedTime:client/end/final-7-s-late:PRG-C1",
    "DiesOfGarbage:client/errors/garbage:MSG-C1",
    "TellsFinalsTwice:client/results/double-final:FIN-C1",
    "SendsBeforeReady:client/start/slow-ready:CFG-C2",
];
/// The same where the plugin dials again.
const LIVEKIT_BROKEN_REDIALLING: [&str; 4] = [
    "RedialsAfterTheEnd:client/end/reset-at-the-sentinel:REC-C3",
    "ForgetsTheGap:client/closing/reset-and-again:REC-C4",
    "StartsTimesOver:client/closing/reset-and-again:TIM-C1",
    "CountsAsTheFramework:client/reconnect/budget-restored:REC-C5",
];
/// Clients that wait for what nobody owes them, or would without a timer, and a case in which there is little to wait for.
const BROKEN_CLIENTS: [&str; 3] = [
    "never-ends:client/end/ideal:END-C1",
    "keepalive-holds-the-end:client/end/ideal:END-C3",
    "own-timer:client/end/two-times:END-C9",
];
const SHORT_CASE: &str = "client/errors/fatal";
/// What a program without a driver is given.
const AT_LEVEL_0: [&str; 3] = ["{url}", "--audio", "{audio}"];
/// Where certificates are kept, below the target folder.
const CERTIFICATES: &str = "certificates";
/// The cases that say nothing of a client that never dials again.
const REDIALS: [&str; 2] = ["client/closing/reset-and-again", "client/reconnect/budget-restored"];
const PYTHON_CLIENT: &str = "conformance/tests/subjects/client_python/client.py";
/// The client of whisper-fastapi as it was: it never says the end, and a flush and a close say it twice.
const FASTAPI_BROKEN: [&str; 2] =
    ["as-it-was:client/end/ideal:END-C1", "as-it-was:client/calls/flush-end-cancel:END-C2"];
const FASTAPI_SERVICE: &str = "conformance/tests/subjects/whisper_fastapi";
const PYTHON_SERVER: &str = "conformance/tests/subjects/python_websockets/server.py";
