//! Agents, their environments and their keys.

use std::time::{Duration, Instant};

use agentsight_model::agent::{DEVELOPMENT, Environment, Me, PRODUCTION, normalise_slug, slug_of_name};
use agentsight_model::ids::{AgentId, EnvironmentId, KeyId};
use agentsight_model::key::{ApiKey, KeyHash, Role};
use agentsight_model::limits::TEXT_CHARS;
use agentsight_model::refusal::Refusal;
use agentsight_model::time::Timestamp;

use crate::Store;
use crate::engine::{Reader, Row, Table, Tx, params};
use crate::error::{Error, Missing, Result};
use crate::ids::Kind;

static AGENTS: Table = Table {
    name: "agents",
    columns: &["id", "name", "cumulative_token_counters", "created_at"],
    on_conflict: "on conflict (name) do nothing",
};
static ENVIRONMENTS: Table = Table {
    name: "environments",
    columns: &["agent_id", "id", "slug", "name", "is_production", "created_at", "updated_at"],
    on_conflict: "on conflict (agent_id, slug) do nothing",
};
static API_KEYS: Table = Table {
    name: "api_keys",
    columns: &["agent_id", "id", "name", "role", "hash", "hint", "created_at"],
    on_conflict: "on conflict (hash) do nothing",
};

/// Who a key speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The one agent of the key.
    pub agent: AgentId,
    /// The key.
    pub key: KeyId,
    /// What it may do.
    pub role: Role,
    /// Its label.
    pub name: Option<String>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Refused from now on.
    pub revoked: bool,
}

/// An environment as rows name it.
pub(crate) struct EnvironmentKey {
    pub(crate) id: EnvironmentId,
    /// Fixed when the environment is made (contract: dashboard §4).
    pub(crate) slug: String,
}

/// A key as it is listed: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Our key of it.
    pub id: KeyId,
    /// Name of its agent.
    pub agent: String,
    /// Its label.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// Its last six digits.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct MintedKey {
    /// The key in clear: the only time that it is known.
    pub key: ApiKey,
    /// Its agent.
    pub agent: AgentId,
    /// Whether the agent was made for it.
    pub agent_is_new: bool,
}

impl Store {
    /// Who a key speaks for; `None` for one that was never made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn identify(&self, hash: &KeyHash) -> Result<Option<Identity>> {
        const BY_HASH: &str = "select agent_id, id, role, name, expires_at, revoked_at from api_keys where hash = ?1";
        let hash = *hash;
        let read = move |reader: &Reader<'_>| {
            reader.one(BY_HASH, params![hash.as_slice()], |row| {
                Ok(Identity {
                    agent: AgentId(row.int(0)?),
                    key: KeyId(row.int(1)?),
                    role: row.parsed(2)?,
                    name: row.opt_string(3)?,
                    expires_at: row.opt_timestamp(4)?,
                    revoked: row.opt_int(5)?.is_some(),
                })
            })
        };
        self.engine.read_now(read).await
    }

    /// The same for whoever is going to write: waits for a database that is away as long as the write would. A
    /// sender whose key was looked up a moment too late would otherwise be refused, and the older SDK never tries again.
    ///
    /// # Errors
    /// As [`Store::identify`].
    pub async fn identify_writer(&self, hash: &KeyHash) -> Result<Option<Identity>> {
        const PAUSE: Duration = Duration::from_millis(100);
        let began = Instant::now();
        loop {
            match self.identify(hash).await {
                Err(Error::Unavailable { .. }) if began.elapsed() < self.shared.patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                identified => return identified,
            }
        }
    }

    /// Makes a key for an agent, and the agent with its two environments where it is new.
    ///
    /// # Errors
    /// A blank name, or a store that cannot be written.
    pub async fn mint_key(&self, agent: &str, role: Role, name: Option<&str>) -> Result<MintedKey> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|e| Error::Engine(e.to_string().into()))?;
        self.add_key(ApiKey::from_random(random), agent, role, name).await
    }

    /// The agent of this name, made with its two environments where it is new.
    ///
    /// # Errors
    /// A blank name, or a store that cannot be read or written.
    pub async fn agent_named(&self, agent: &str) -> Result<AgentId> {
        let agent = agent_name(agent)?;
        if let Some(id) = self.find_agent(&agent).await? {
            return Ok(id);
        }
        let now = self.clock().now();
        self.engine.write(256, move |tx: &Tx<'_>| Ok(find_or_create_agent(tx, &agent, now)?.0)).await
    }

    /// The agent of this name; `None` where nobody made one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_agent(&self, name: &str) -> Result<Option<AgentId>> {
        let name = name.trim().to_owned();
        self.engine.read_now(move |reader| agent_by_name(reader, &name)).await
    }

    /// Adds a key that somebody else made. Adding it again to its agent changes nothing.
    ///
    /// # Errors
    /// As [`Store::mint_key`], and a key that another agent has.
    pub async fn add_key(&self, key: ApiKey, agent: &str, role: Role, name: Option<&str>) -> Result<MintedKey> {
        let agent = agent_name(agent)?;
        let (hash, label, now) = (key.hash(), name.map(str::to_owned), self.clock().now());
        let hint = key.hint().to_owned();
        const OWNER: &str =
            "select a.name from api_keys k join agents a on a.id = k.agent_id where k.hash = ?1 and a.name <> ?2";
        let write = move |tx: &Tx<'_>| {
            if tx.one(OWNER, params![hash.as_slice(), &agent], |row| row.string(0))?.is_some() {
                return Err(Refusal::field("key", "This key belongs to another agent.").into());
            }
            let (agent_id, is_new) = find_or_create_agent(tx, &agent, now)?;
            let id = tx.next_id(Kind::Key)?;
            tx.insert(&API_KEYS, params![agent_id, id, label.as_deref(), role.as_str(), hash.as_slice(), &hint, now])?;
            // Another node may have been quicker, for another agent.
            if tx.one(OWNER, params![hash.as_slice(), &agent], |row| row.string(0))?.is_some() {
                return Err(Refusal::field("key", "This key belongs to another agent.").into());
            }
            Ok((agent_id, is_new))
        };
        let (agent, agent_is_new) = self.engine.write(256, write).await?;
        Ok(MintedKey { key, agent, agent_is_new })
    }

    /// Seeds a write key for the agent `default`, but only into a store that has no key yet.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn bootstrap_key(&self, key: ApiKey) -> Result<bool> {
        let keys =
            self.engine.read_now(|reader| reader.one("select count(*) from api_keys", &[], |row| row.int(0))).await?;
        if keys.unwrap_or(0) > 0 {
            return Ok(false);
        }
        self.add_key(key, "default", Role::Write, Some("bootstrap")).await?;
        Ok(true)
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_keys(&self) -> Result<Vec<KeyRow>> {
        const ALL: &str = "select k.id, a.name, k.name, k.role, k.hint, k.created_at, k.expires_at, k.revoked_at
            from api_keys k join agents a on a.id = k.agent_id order by k.id";
        let read = |reader: &Reader<'_>| {
            reader.all(ALL, &[], |row| {
                Ok(KeyRow {
                    id: KeyId(row.int(0)?),
                    agent: row.string(1)?,
                    name: row.opt_string(2)?,
                    role: row.parsed(3)?,
                    hint: row.string(4)?,
                    created_at: row.timestamp(5)?,
                    expires_at: row.opt_timestamp(6)?,
                    revoked_at: row.opt_timestamp(7)?,
                })
            })
        };
        self.engine.read_now(read).await
    }

    /// Revokes a key for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Missing::Row`] when there is no such key.
    pub async fn revoke_key(&self, key: KeyId) -> Result<()> {
        let now = self.clock().now();
        let write = move |tx: &Tx<'_>| {
            let known = tx.execute_counted(
                "update api_keys set revoked_at = coalesce(revoked_at, ?2) where id = ?1",
                params![key, now],
            )?;
            if known == 0 { Err(Error::NotFound(Missing::Row)) } else { Ok(()) }
        };
        self.engine.write(64, write).await
    }

    /// Books what SDK 0.0.x posts as token counters as increments of its process (the default), or as posted.
    ///
    /// # Errors
    /// [`Missing::Row`] when there is no such agent.
    pub async fn set_cumulative_token_counters(&self, agent: AgentId, on: bool) -> Result<()> {
        let write = move |tx: &Tx<'_>| {
            let known = tx.execute_counted(
                "update agents set cumulative_token_counters = ?2 where id = ?1",
                params![agent, on],
            )?;
            if known == 0 { Err(Error::NotFound(Missing::Row)) } else { Ok(()) }
        };
        self.engine.write(64, write).await
    }

    /// Adds an environment to an agent, under the slug that [`slug_of_name`] makes of its name.
    ///
    /// # Errors
    /// A name of which no slug can be made, or one whose slug the agent has.
    pub async fn add_environment(&self, agent: AgentId, name: &str, is_production: bool) -> Result<Environment> {
        let (name, now) = (name.trim().to_owned(), self.clock().now());
        let slug = slug_of_name(&name).map_err(|why| Refusal::field("name", why))?;
        let write = move |tx: &Tx<'_>| {
            let exists = || Refusal::field("name", format!("An environment \"{slug}\" already exists."));
            if find_environment(tx, agent, &slug)?.is_some() {
                return Err(exists().into());
            }
            let made = add_environment(tx, agent, &slug, &name, is_production, now)?;
            // Another node may have been quicker.
            if find_environment(tx, agent, &slug)? == Some(made.id) { Ok(made) } else { Err(exists().into()) }
        };
        self.engine.write(256, write).await
    }

    /// The environments of all agents, each with its agent's name: agents by name, environments oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_environments(&self) -> Result<Vec<(String, Environment)>> {
        const ALL: &str = "select e.id, e.slug, e.name, e.is_production, e.created_at, e.updated_at, a.name
            from environments e join agents a on a.id = e.agent_id order by a.name, e.id";
        let read = |reader: &Reader<'_>| reader.all(ALL, &[], |row: &Row<'_>| Ok((row.string(6)?, environment(row)?)));
        self.engine.read_now(read).await
    }

    /// Answer of `GET /api/me/` for a key.
    ///
    /// # Errors
    /// [`Missing::Row`] when the agent is gone.
    pub async fn me(&self, identity: &Identity) -> Result<Me> {
        let (agent, role) = (identity.agent, identity.role);
        let read = move |reader: &Reader<'_>| {
            let name = reader.one("select name from agents where id = ?1", params![agent], |row| row.string(0))?;
            Ok(Me {
                agent_id: agent,
                agent_name: name.ok_or(Error::NotFound(Missing::Row))?,
                role,
                environments: environments(reader, agent)?,
                // Without it SDK 0.1.x never compresses.
                capabilities: vec!["gzip-ingest".to_owned()],
            })
        };
        self.engine.read_now(read).await
    }
}

fn agent_name(given: &str) -> Result<String> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > TEXT_CHARS {
        return Err(Refusal::field("agent", "An agent needs a name of 1 to 255 characters.").into());
    }
    Ok(name.to_owned())
}

fn agent_by_name(reader: &Reader<'_>, name: &str) -> Result<Option<AgentId>> {
    reader.one("select id from agents where name = ?1", params![name], |row| row.int(0).map(AgentId))
}

fn find_or_create_agent(tx: &Tx<'_>, name: &str, now: Timestamp) -> Result<(AgentId, bool)> {
    if let Some(id) = agent_by_name(tx, name)? {
        return Ok((id, false));
    }
    let agent = AgentId(tx.next_id(Kind::Agent)?);
    tx.insert(&AGENTS, params![agent, name, true, now])?;
    // Another node may have been quicker.
    let kept = agent_by_name(tx, name)?.ok_or(Error::NotFound(Missing::Row))?;
    if kept != agent {
        return Ok((kept, false));
    }
    add_environment(tx, agent, PRODUCTION, "Production", true, now)?;
    add_environment(tx, agent, DEVELOPMENT, "Development", false, now)?;
    Ok((agent, true))
}

fn add_environment(
    tx: &Tx<'_>,
    agent: AgentId,
    slug: &str,
    name: &str,
    is_production: bool,
    now: Timestamp,
) -> Result<Environment> {
    let id = EnvironmentId(tx.next_id(Kind::Environment)?);
    tx.insert(&ENVIRONMENTS, params![agent, id, slug, name, is_production, now, now])?;
    Ok(Environment {
        id,
        slug: slug.to_owned(),
        name: name.to_owned(),
        is_production,
        created_at: now,
        updated_at: now,
    })
}

/// Key of the agent's environment with this slug.
pub(crate) fn find_environment(reader: &Reader<'_>, agent: AgentId, slug: &str) -> Result<Option<EnvironmentId>> {
    let found =
        reader.one("select id from environments where agent_id = ?1 and slug = ?2", params![agent, slug], |row| {
            row.int(0)
        })?;
    Ok(found.map(EnvironmentId))
}

/// The agent's environments, oldest first.
pub(crate) fn environments(reader: &Reader<'_>, agent: AgentId) -> Result<Vec<Environment>> {
    const ALL: &str = "select id, slug, name, is_production, created_at, updated_at from environments where agent_id = ?1 order by id";
    reader.all(ALL, params![agent], environment)
}

/// From `id, slug, name, is_production, created_at, updated_at`.
fn environment(row: &Row<'_>) -> Result<Environment> {
    Ok(Environment {
        id: EnvironmentId(row.int(0)?),
        slug: row.string(1)?,
        name: row.string(2)?,
        is_production: row.flag(3)?,
        created_at: row.timestamp(4)?,
        updated_at: row.timestamp(5)?,
    })
}

/// The environment that a write named, or production; refused where the agent has none of that slug.
pub(crate) fn environment_for(reader: &Reader<'_>, agent: AgentId, given: Option<&str>) -> Result<EnvironmentKey> {
    let slug = given.and_then(normalise_slug).unwrap_or_else(|| PRODUCTION.to_owned());
    if let Some(id) = find_environment(reader, agent, &slug)? {
        return Ok(EnvironmentKey { id, slug });
    }
    let known: Vec<String> = environments(reader, agent)?.into_iter().map(|environment| environment.slug).collect();
    let given = given.unwrap_or_default();
    Err(Refusal::field("environment", format!("Unknown environment: '{given}'. This agent has: {}.", known.join(", ")))
        .into())
}

/// Whether posted token counters are totals of their process.
pub(crate) fn counts_are_cumulative(reader: &Reader<'_>, agent: AgentId) -> Result<bool> {
    let on =
        reader.one("select cumulative_token_counters from agents where id = ?1", params![agent], |row| row.flag(0))?;
    Ok(on.unwrap_or(true))
}
