//! `agentsight environment …`: on the data folder or the database itself, so that it works whether or not the server runs.

use agentsight_model::agent::Environment;
use agentsight_store::{Error, Store};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::config::{DataArgs, Place, place};
use crate::out::say;
use crate::{Failure, on_store};

const EXAMPLES: &str = "Examples:
  agentsight environment create --agent my-bot staging
  agentsight environment create --agent my-bot 'Production EU' --production
  agentsight environment list --agent my-bot";

/// Make and list the environments of agents: the stages that conversations belong to. Works while the server runs.
///
/// Every agent begins with production and development. A conversation belongs to the environment that its sender names,
/// by the slug that `environment list` shows; a slug that its agent does not have is refused. Lists can be filtered by it.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct EnvironmentArgs {
    #[command(subcommand)]
    command: EnvironmentCommand,
}

#[derive(Subcommand)]
enum EnvironmentCommand {
    /// Make an environment, and answer its slug
    ///
    /// The slug is the name in lower case, with dashes for all but letters, digits, dots and underscores. It is never changed:
    /// conversations are recorded under it. SDKs that ask which environments there are learn of it when they start.
    Create {
        /// Name of the agent (the bot), which must be there
        #[arg(long)]
        agent: String,
        /// The label that people see, such as staging or 'Production EU'
        #[arg(value_name = "NAME")]
        name: String,
        /// Its conversations are those of real users, and count as production does
        #[arg(long)]
        production: bool,
        #[command(flatten)]
        data: DataArgs,
    },
    /// List environments, by agent
    List {
        /// Only those of this agent
        #[arg(long)]
        agent: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataArgs,
    },
}

pub(crate) fn run(args: &EnvironmentArgs) -> Result<(), Failure> {
    let (EnvironmentCommand::Create { data, .. } | EnvironmentCommand::List { data, .. }) = &args.command;
    let place = place(data)?;
    on_store(Place { bucket: None, ..place }, false, async |store| run_on(store, &args.command).await)
}

async fn run_on(store: &Store, command: &EnvironmentCommand) -> Result<(), Failure> {
    match command {
        EnvironmentCommand::Create { agent, name, production, .. } => {
            let id = store.find_agent(agent).await?.ok_or_else(|| no_such_agent(agent))?;
            let made = store.add_environment(id, name, *production).await.map_err(|error| match error {
                Error::Refused(refusal) => Failure::Other(refusal.to_string()),
                other => other.into(),
            })?;
            say!("{}", made.slug);
        }
        EnvironmentCommand::List { agent, json, .. } => {
            let mut all = store.list_environments().await?;
            if let Some(agent) = agent {
                all.retain(|(name, _)| name == agent.trim());
                if all.is_empty() {
                    return Err(no_such_agent(agent));
                }
            }
            if *json { print_json(&all) } else { print(&all) }
        }
    }
    Ok(())
}

fn no_such_agent(name: &str) -> Failure {
    Failure::Other(format!(
        "there is no agent \"{}\"; `agentsight environment list` shows those that there are, `agentsight key create` makes one",
        name.trim()
    ))
}

fn print_json(all: &[(String, Environment)]) {
    let rows: Vec<_> = all
        .iter()
        .map(|(agent, Environment { id, slug, name, is_production, created_at, .. })| {
            json!({ "agent": agent, "id": id, "slug": slug, "name": name, "is_production": is_production, "created_at": created_at })
        })
        .collect();
    say!("{}", json!(rows));
}

fn print(all: &[(String, Environment)]) {
    if all.is_empty() {
        eprintln!("No agents yet; make one with `agentsight key create --agent my-bot`.");
        return;
    }
    say!("{:<20}  {:<20}  {:<10}  {:<27}  NAME", "AGENT", "SLUG", "PRODUCTION", "CREATED");
    for (agent, Environment { slug, name, is_production, created_at, .. }) in all {
        let (production, created) = (if *is_production { "yes" } else { "no" }, created_at.to_string());
        say!("{agent:<20}  {slug:<20}  {production:<10}  {created:<27}  {name}");
    }
}
