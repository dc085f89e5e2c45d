//! `agentsight key …`: on the data folder or the database itself, so that it works whether or not the server runs.

use agentsight_model::ids::KeyId;
use agentsight_model::key::Role;
use agentsight_store::{Error, Missing, Store};
use clap::{Args, Subcommand, ValueEnum};

use crate::config::{DataArgs, Place, place};
use crate::out::say;
use crate::{Failure, on_store};

#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key. It stands alone on standard output, this once: only its hash is kept.
    Create {
        /// Name of the agent (the bot); it is made when missing
        #[arg(long)]
        agent: String,
        /// What the key may do
        #[arg(long, value_enum, default_value_t = RoleArg::Write)]
        role: RoleArg,
        /// A label by which people know the key
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// List all keys, by their last digits.
    List {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Revoke a key for good; a running server refuses it within a second.
    Revoke {
        /// Number of the key, as `key list` shows it
        id: i64,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Every GET
    Read,
    /// Every GET, and every write
    Write,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Read => Self::Read,
            RoleArg::Write => Self::Write,
        }
    }
}

pub(crate) fn run(args: &KeyArgs) -> Result<(), Failure> {
    let (KeyCommand::Create { data, .. } | KeyCommand::List { data } | KeyCommand::Revoke { data, .. }) = &args.command;
    let place = place(data)?;
    let makes = matches!(args.command, KeyCommand::Create { .. });
    on_store(Place { bucket: None, ..place }, makes, async |store| run_on(store, &args.command).await)
}

async fn run_on(store: &Store, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { agent, role, name, .. } => {
            let minted = store.mint_key(agent, (*role).into(), name.as_deref()).await.map_err(explain)?;
            if minted.agent_is_new {
                eprintln!("Made the agent \"{}\".", agent.trim());
            }
            say!("{}", minted.key.reveal());
        }
        KeyCommand::List { .. } => print_keys(store).await?,
        KeyCommand::Revoke { id, .. } => {
            store.revoke_key(KeyId(*id)).await.map_err(|error| match error {
                Error::NotFound(Missing::Row) => {
                    Failure::Other(format!("there is no key {id}; `agentsight key list` shows them"))
                }
                other => other.into(),
            })?;
            eprintln!("Revoked key {id}.");
        }
    }
    Ok(())
}

fn explain(error: Error) -> Failure {
    match error {
        Error::Refused(agentsight_model::refusal::Refusal::Fields(errors)) => {
            Failure::Other(serde_json::to_string(&errors).unwrap_or_default())
        }
        other => other.into(),
    }
}

async fn print_keys(store: &Store) -> Result<(), Failure> {
    let keys = store.list_keys().await?;
    if keys.is_empty() {
        eprintln!("No keys yet; make one with `agentsight key create --agent my-bot`.");
        return Ok(());
    }
    say!("{:>4}  {:<6}  {:<9}  {:<27}  {:<20}  {:<20}  NAME", "ID", "ROLE", "KEY", "CREATED", "AGENT", "STATE");
    for key in keys {
        let state = match key.revoked_at {
            Some(at) => format!("revoked {}", at.to_string().get(..10).unwrap_or_default()),
            None => "active".to_owned(),
        };
        say!(
            "{:>4}  {:<6}  …_{}  {:<27}  {:<20}  {:<20}  {}",
            key.id,
            key.role.as_str(),
            key.hint,
            key.created_at,
            key.agent,
            state,
            key.name.unwrap_or_default()
        );
    }
    Ok(())
}
