//! `cargo xtask test`: from a fresh clone to a green run.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::command::{Failure, Result, beside, built, cargo, command, run as run_command, run_together, test_deps};
use crate::python::Environment;
use crate::{bucket, deny, geoip, node, postgres, prerequisites};

const SDK: Environment = Environment { name: "venv", requirements: "tests/sdk/requirements.txt" };
const SPANS: Environment = Environment { name: "venv-spans", requirements: "tests/sdk-spans/requirements.txt" };
const PACKAGE: Environment = Environment { name: "venv-package", requirements: "tests/python/requirements.txt" };
const OTEL: Environment = Environment { name: "venv-otel", requirements: "tests/otel/requirements.txt" };
const LLAMAINDEX: Environment =
    Environment { name: "venv-llamaindex", requirements: "tests/otel/llamaindex/requirements.txt" };
const OPENAPI: Environment = Environment { name: "venv-openapi", requirements: "tests/openapi/requirements.txt" };
const DEPLOY: Environment = Environment { name: "deploy", requirements: "tests/deploy/requirements.txt" };

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run these steps alone, with what they need
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Step>,
    /// Leave these steps out (the same names)
    #[arg(long, value_delimiter = ',', value_name = "STEP", hide_possible_values = true)]
    skip: Vec<Step>,
    /// Handed to the test runner: `cargo test` with `--only rust`, the test binary with `--only nodes`, pytest with `--only sdk`, `spans`, `wheel`, `otel` or `openapi`
    #[arg(last = true, value_name = "ARGS")]
    runner: Vec<OsString>,
}

/// One part of the run. They run in this order, some beside another, and the first that fails ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Python and the like: what is missing is installed (Debian, as root) or named
    Prerequisites,
    /// The original SDK at its pinned version, in an environment of its own under .test-deps
    Python,
    /// cargo fmt --all --check
    Fmt,
    /// cargo clippy, where a warning is an error
    Clippy,
    /// Licences, sources and known holes of the dependencies (deny.toml)
    Deny,
    /// The forms of the compose file and of the Kubernetes example in deploy/
    Deploy,
    /// Real geolocation files for a test of real addresses, under .test-deps
    Geoip,
    /// cargo test of the whole workspace; the store's suite runs on SQLite and on a throw-away PostgreSQL
    Rust,
    /// The HTTP suite once more, on PostgreSQL
    Postgres,
    /// The original SDK, unmodified, against the server binary (tests/sdk): on SQLite, on PostgreSQL, on three nodes with a bucket
    Sdk,
    /// The span SDK (0.1.x), unmodified, with its instrumentation of model libraries (tests/sdk-spans): on SQLite, on PostgreSQL
    Spans,
    /// The Python package: its wheel built, installed, checked by mypy, and compared with the original SDK (tests/python)
    Wheel,
    /// Real instrumentations of models, in Python and Node, exporting over OTLP to the server binary (tests/otel)
    Otel,
    /// Whatever /openapi.json allows to be asked, and much that it does not, of the server binary (tests/openapi)
    Openapi,
    /// Several nodes of the binary on one PostgreSQL: started together, killed, cut off; their database migrated
    /// half-way, restarted, and replaced by its standby
    Nodes,
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The steps that must have run before this one makes sense.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Prerequisites => &[],
            Self::Python
            | Self::Fmt
            | Self::Clippy
            | Self::Deny
            | Self::Deploy
            | Self::Geoip
            | Self::Otel
            | Self::Openapi => &[Self::Prerequisites],
            Self::Rust => &[Self::Prerequisites, Self::Geoip],
            Self::Postgres | Self::Nodes => &[Self::Prerequisites],
            Self::Sdk | Self::Spans | Self::Wheel => &[Self::Prerequisites, Self::Python],
        }
    }

    /// A later step that may run at the same time: of the two, one compiles or waits for the network where the other waits for
    /// its servers, and only one has a PostgreSQL.
    fn companion(self) -> Option<Self> {
        match self {
            Self::Postgres => Some(Self::Otel),
            Self::Sdk => Some(Self::Openapi),
            Self::Spans => Some(Self::Wheel),
            _ => None,
        }
    }

    /// What the step's suite runs in.
    fn environments(self) -> &'static [Environment] {
        match self {
            Self::Python | Self::Sdk => &[SDK],
            Self::Deploy => &[DEPLOY],
            Self::Spans => &[SPANS],
            Self::Wheel => &[PACKAGE],
            Self::Otel => &[OTEL, LLAMAINDEX],
            Self::Openapi => &[OPENAPI],
            _ => &[],
        }
    }

    /// Installs what the step's suite needs while earlier steps compile: the one waits for the network, the other for
    /// the processor. A failure shows when the step itself installs it.
    fn provide(self) {
        for environment in self.environments() {
            let _ = environment.programs();
        }
    }

    fn run(self, plan: &[Self], runner: &[OsString]) -> Result<()> {
        match self {
            Self::Prerequisites => prerequisites::provide(plan),
            Self::Python => SDK.programs().map(drop),
            Self::Fmt => run_command(&mut cargo("fmt --all --check")),
            Self::Clippy => run_command(&mut cargo("clippy --workspace --all-targets --locked -- -D warnings")),
            Self::Deny => deny::check(),
            Self::Deploy => {
                let programs = DEPLOY.programs()?;
                run_command(command(programs.join("check-jsonschema")).args([
                    "--builtin-schema",
                    "vendor.compose-spec",
                    "deploy/compose.yaml",
                ]))?;
                run_command(command(programs.join("kubernetes-validate")).args(["--strict", "deploy/kubernetes.yaml"]))
            }
            Self::Geoip => geoip::fetch().map(drop),
            Self::Rust => {
                let files = geoip::fetch()?;
                let server = postgres::start()?;
                run_command(
                    cargo("test --workspace --locked")
                        .args(runner)
                        .env("AGENTSIGHT_TEST_GEOIP", files)
                        .env("AGENTSIGHT_TEST_POSTGRES", server.url()),
                )
            }
            Self::Postgres => {
                let server = postgres::start()?;
                run_command(
                    cargo("test --workspace --locked --test http")
                        .env("AGENTSIGHT_TEST_ENGINE", "postgres")
                        .env("AGENTSIGHT_TEST_POSTGRES", server.url()),
                )
            }
            Self::Sdk => sdk(runner),
            Self::Spans => spans(runner),
            Self::Wheel => wheel(runner),
            Self::Otel => otel(runner),
            Self::Openapi => openapi(runner),
            Self::Nodes => {
                let server = postgres::start()?;
                run_command(
                    // One after the other: each has servers of its own, and they take the machine's time.
                    cargo("test --workspace --locked --test command nodes:: -- --ignored --test-threads=1")
                        .args(runner)
                        .env("AGENTSIGHT_TEST_POSTGRES", server.url()),
                )
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let plan = plan(&args.only, &args.skip);
    let takes_arguments = |step: &&Step| {
        matches!(step, Step::Rust | Step::Sdk | Step::Spans | Step::Wheel | Step::Otel | Step::Openapi | Step::Nodes)
    };
    if !args.runner.is_empty() && plan.iter().filter(takes_arguments).count() != 1 {
        return Err(Failure(
            "arguments after `--` go to one test runner: add --only rust, sdk, spans, wheel, otel, openapi or nodes"
                .to_owned(),
        ));
    }

    let started = Instant::now();
    let mut times = Vec::new();
    let timed = |step: Step| {
        let step_started = Instant::now();
        step.run(&plan, &args.runner).map_err(|Failure(reason)| {
            let name = step.name();
            Failure(format!("{reason}\nStep `{name}` failed. To repeat it alone: cargo xtask test --only {name}"))
        })?;
        let took = format!("{} {}", step.name(), seconds(step_started.elapsed()));
        println!("── {took}");
        Ok(took)
    };
    for (step, companion) in rounds(&plan) {
        match companion {
            None => {
                println!("\n══ {} ══", step.name());
                times.push(timed(step)?);
            }
            Some(companion) => {
                println!("\n══ {}, and {} beside it ══", step.name(), companion.name());
                let (first, second) = std::thread::scope(|scope| {
                    let second = scope.spawn(|| beside(|| timed(companion)));
                    (timed(step), second.join())
                });
                let broken = |_| Err(Failure(format!("step `{}` could not be waited for", companion.name())));
                times.extend([first?, second.unwrap_or_else(broken)?]);
            }
        }
        if step == Step::Prerequisites {
            let ahead = plan.clone();
            std::thread::spawn(move || ahead.iter().for_each(|step| step.provide()));
        }
    }
    println!("\nAll green in {} ({}).", seconds(started.elapsed()), times.join(", "));
    Ok(())
}

/// The steps of a plan, each with the one that runs beside it.
fn rounds(plan: &[Step]) -> Vec<(Step, Option<Step>)> {
    let companion = |step: Step| step.companion().filter(|other| plan.contains(other));
    let companions: Vec<Step> = plan.iter().copied().filter_map(companion).collect();
    let first = plan.iter().copied().filter(|step| !companions.contains(step));
    first.map(|step| (step, companion(step))).collect()
}

/// What runs, in order: everything, or what was asked for with what it needs; never what was left out.
fn plan(only: &[Step], skip: &[Step]) -> Vec<Step> {
    let wanted =
        |step: &Step| only.is_empty() || only.contains(step) || only.iter().any(|asked| asked.needs().contains(step));
    Step::value_variants().iter().copied().filter(|step| wanted(step) && !skip.contains(step)).collect()
}

/// Builds the server binary, which the tests of the command need. A part of the workspace by itself would have other
/// features, and be compiled once more.
fn build_binary() -> Result<()> {
    run_command(&mut cargo("test --workspace --locked --no-run --test command"))
}

fn sdk(runner: &[OsString]) -> Result<()> {
    build_binary()?;
    let programs = SDK.programs()?;
    let suite = || -> Result<Command> {
        let mut suite = command(programs.join("python"));
        suite
            .args(["-m", "pytest", "-p", "no:cacheprovider", "tests/sdk"])
            .args(runner)
            .env("AGENTSIGHT_BIN", built("debug", "agentsight")?);
        Ok(suite)
    };
    let server = postgres::start()?;
    let bucket = bucket::start()?;
    let mut on_postgres = suite()?;
    on_postgres.env("AGENTSIGHT_TEST_DATABASE_URL", server.url());
    // A schema of its own, because the other run leaves its agents behind.
    let shared = format!("{}?schema=nodes", server.url());
    let mut on_nodes = suite()?;
    on_nodes
        .env("AGENTSIGHT_TEST_DATABASE_URL", shared)
        .env("AGENTSIGHT_TEST_NODES", "3")
        .env("AGENTSIGHT_TEST_BUCKET", &bucket.settings);
    // Together: most of their time is the SDK's own, and its waiting.
    run_together(vec![suite()?, on_postgres, on_nodes])
}

fn spans(runner: &[OsString]) -> Result<()> {
    build_binary()?;
    let older = SDK.programs()?;
    let programs = SPANS.programs()?;
    let suite = || -> Result<Command> {
        let mut suite = command(programs.join("python"));
        suite
            .args(["-m", "pytest", "-p", "no:cacheprovider", "tests/sdk-spans"])
            .args(runner)
            .env("AGENTSIGHT_BIN", built("debug", "agentsight")?)
            .env("AGENTSIGHT_TEST_OLDER_PYTHON", older.join("python"));
        Ok(suite)
    };
    let server = postgres::start()?;
    let mut on_postgres = suite()?;
    on_postgres.env("AGENTSIGHT_TEST_DATABASE_URL", server.url());
    run_together(vec![suite()?, on_postgres])
}

fn wheel(runner: &[OsString]) -> Result<()> {
    let original = SDK.programs()?;
    let programs = PACKAGE.programs()?;
    let python = programs.join("python");
    let wheels = test_deps().join("wheels");
    // Of several wheels, an old one might be installed.
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).map_err(|e| Failure(format!("cannot clear {}: {e}", wheels.display())))?;
    }
    run_command(
        command(programs.join("maturin"))
            .args(["build", "--profile", "dev", "--locked", "--manifest-path", "crates/python/Cargo.toml"])
            .arg("--interpreter")
            .arg(&python)
            .arg("--out")
            .arg(&wheels),
    )?;
    run_command(
        command(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall"])
            .args(["--no-index", "--no-deps", "--find-links"])
            .arg(&wheels)
            .arg("agentsight"),
    )?;
    run_command(command(&python).args([
        "-m",
        "mypy",
        "--config-file",
        "crates/python/pyproject.toml",
        "crates/python/python/agentsight",
    ]))?;
    let pytest = ["-m", "pytest", "-p", "no:cacheprovider", "tests/python"];
    run_command(
        command(&python).args(pytest).args(runner).env("AGENTSIGHT_TEST_ORIGINAL_PYTHON", original.join("python")),
    )
}

fn otel(runner: &[OsString]) -> Result<()> {
    build_binary()?;
    let programs = OTEL.programs()?;
    let llamaindex = LLAMAINDEX.programs()?;
    let node = node::packages("otel-node", "tests/otel/node")?;
    run_command(
        command(programs.join("python"))
            .args(["-m", "pytest", "-p", "no:cacheprovider", "tests/otel"])
            .args(runner)
            .env("AGENTSIGHT_BIN", built("debug", "agentsight")?)
            .env("AGENTSIGHT_TEST_LLAMAINDEX_PYTHON", llamaindex.join("python"))
            .env("AGENTSIGHT_TEST_NODE", node),
    )
}

fn openapi(runner: &[OsString]) -> Result<()> {
    build_binary()?;
    let programs = OPENAPI.programs()?;
    run_command(
        command(programs.join("python"))
            .args(["-m", "pytest", "-p", "no:cacheprovider", "tests/openapi"])
            .args(runner)
            .env("AGENTSIGHT_BIN", built("debug", "agentsight")?),
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_runs_once_beside_another_or_alone() {
        let rounds = rounds(&plan(&[Step::Otel, Step::Postgres, Step::Wheel], &[Step::Prerequisites, Step::Python]));
        assert_eq!(rounds, [(Step::Postgres, Some(Step::Otel)), (Step::Wheel, None)]);
    }

    #[test]
    fn a_step_brings_what_it_needs() {
        assert_eq!(plan(&[Step::Sdk], &[]), [Step::Prerequisites, Step::Python, Step::Sdk]);
        assert_eq!(plan(&[Step::Clippy, Step::Fmt], &[]), [Step::Prerequisites, Step::Fmt, Step::Clippy]);
    }

    #[test]
    fn what_is_left_out_stays_out() {
        assert_eq!(plan(&[Step::Sdk], &[Step::Prerequisites]), [Step::Python, Step::Sdk]);
        assert_eq!(plan(&[], &[Step::Deny]).len(), Step::value_variants().len() - 1);
    }
}
