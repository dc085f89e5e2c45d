//! What a group of writes asks, and makes, before they run.
//!
//! On a server each question of each write would cost a round trip of its own. The events of a group ask together
//! where they go, and the conversations that they name first are made together. What the group has changed since is
//! asked again, and what was made for an event that did not come undoes the group: its writes then run one by one,
//! with nothing foretold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use agentsight_model::ids::{AgentId, ConversationId};
use agentsight_model::price::Book;
use agentsight_model::time::Timestamp;
use agentsight_model::track::Target;

use crate::conversation::{Destination, Earlier, destination};
use crate::engine::{Column, Param, Query, Tx, damaged};
use crate::error::Result;
use crate::track::insert_bare;

/// What a write will ask first: where its event goes.
pub(crate) struct Errand {
    pub(crate) agent: AgentId,
    pub(crate) target: Target,
    pub(crate) earlier: Earlier,
}

/// What the errands of a group found, asked all together before its writes run: on a server each would
/// cost a round trip of its own. What the group has changed since is asked again.
#[derive(Default)]
pub(crate) struct Ahead {
    found: HashMap<(AgentId, Target, Earlier), Option<Destination>>,
    changed: HashSet<(AgentId, ConversationId)>,
    made: HashSet<(AgentId, String)>,
    /// Conversations made for events that have not come to them yet, and the times of those events.
    unclaimed: HashMap<(AgentId, ConversationId), Timestamp>,
    /// The book that this group prices with.
    book: Option<Arc<Book>>,
}

impl Ahead {
    /// The book, where the group has asked for it.
    pub(crate) fn book(&self) -> Option<Arc<Book>> {
        self.book.clone()
    }

    /// The group has asked for the book.
    pub(crate) fn keep_book(&mut self, book: Arc<Book>) {
        self.book = Some(book);
    }

    /// The group has changed the book.
    pub(crate) fn forget_book(&mut self) {
        self.book = None;
    }

    /// The group has written to a conversation.
    pub(crate) fn note_changed(&mut self, agent: AgentId, id: ConversationId) {
        self.changed.insert((agent, id));
    }

    /// The group has made a conversation.
    pub(crate) fn note_made(&mut self, agent: AgentId, name: &str) {
        self.made.insert((agent, name.to_owned()));
    }

    /// Whether the conversation was made ahead for the event of this time, which then settles it.
    pub(crate) fn claim(&mut self, agent: AgentId, id: ConversationId, at: Timestamp) -> bool {
        if self.unclaimed.get(&(agent, id)) != Some(&at) {
            return false;
        }
        self.unclaimed.remove(&(agent, id));
        true
    }

    /// Whether a conversation was made for an event that did not come.
    pub(crate) fn made_in_vain(&self) -> bool {
        !self.unclaimed.is_empty()
    }

    /// What was found, where that still holds; nothing where it was not asked, or may have changed.
    pub(crate) fn take(&mut self, agent: AgentId, target: &Target, earlier: &Earlier) -> Option<Option<Destination>> {
        if self.found.is_empty() {
            return None;
        }
        let found = self.found.remove(&(agent, target.clone(), *earlier))?;
        let changed = match (&found, &target.name) {
            (Some((known, _)), _) => self.changed.contains(&(agent, known.id)),
            // An integer that leads nowhere leaves the name to be asked for.
            (None, Some(name)) => target.id.is_some() || self.made.contains(&(agent, name.clone())),
            (None, None) => false,
        };
        (!changed).then_some(found)
    }
}

/// The destinations of many events by one key of their conversations: which event it is, then as
/// [`known_with_earlier_by`] answers.
macro_rules! known_of_many_by {
    ($column:literal) => {
        concat!(
            "select e.at, c.id, c.conversation_id, c.environment_id, c.started_at, c.ended_at, c.unindexed_since,
                (select m.id from messages m where m.agent_id = e.agent and m.conversation = c.id and m.timestamp = e.timestamp
                    and m.receipt = e.receipt and m.received_at >= e.since order by m.id limit 1)
             from unnest(?1, ?2, ?3, ?4, ?5, ?6) e (agent, key, at, timestamp, receipt, since)
             join conversations c on c.agent_id = e.agent and c.",
            $column,
            " = e.key"
        )
    };
}

/// Every node locks in the same order, so that none waits for another that waits for it.
macro_rules! lock_many_by {
    ($column:literal) => {
        concat!(
            "select c.id from unnest(?1, ?2) e (agent, key) join conversations c on c.agent_id = e.agent and c.",
            $column,
            " = e.key order by c.agent_id, c.id"
        )
    };
}

/// Errands by one key of their conversations, as columns.
struct Asked {
    lock: &'static str,
    find: &'static str,
    agents: Vec<Option<i64>>,
    keys: Column,
    places: Vec<Option<i64>>,
    timestamps: Vec<Option<i64>>,
    receipts: Vec<Option<i64>>,
    since: Vec<Option<i64>>,
}

impl Asked {
    fn new(lock: &'static str, find: &'static str, keys: Column) -> Self {
        let [agents, places, timestamps, receipts, since] = Default::default();
        Self { lock, find, agents, keys, places, timestamps, receipts, since }
    }

    fn push(&mut self, at: usize, agent: AgentId, earlier: &Earlier) {
        self.agents.push(Some(agent.0));
        self.places.push(i64::try_from(at).ok());
        self.timestamps.push(Some(earlier.timestamp.0));
        self.receipts.push(earlier.receipt);
        self.since.push(Some(earlier.since.0));
    }

    /// The columns in the order in which the statements name them.
    fn into_columns(self) -> (&'static str, &'static str, [Column; 6]) {
        let Self { lock, find, agents, keys, places, timestamps, receipts, since } = self;
        let [agents, places, timestamps, receipts, since] =
            [agents, places, timestamps, receipts, since].map(Column::Ints);
        (lock, find, [agents, keys, places, timestamps, receipts, since])
    }
}

/// Asks for the destinations of a group of events together, and keeps other nodes from them. Only a server is asked.
///
/// Where `alone` says that the group is of events and nothing else, conversations that are not there are made. Another
/// kind of write must not meet one before its event does.
pub(crate) fn look_ahead<'l>(tx: &Tx<'_>, errands: impl Iterator<Item = &'l Errand>, alone: bool) -> Result<()> {
    let errands: Vec<&Errand> =
        errands.filter(|errand| errand.target.id.is_some() || errand.target.name.is_some()).collect();
    let mut found: Vec<Option<Destination>> = errands.iter().map(|_| None).collect();
    find(tx, errands.iter().copied().enumerate(), &mut found)?;
    if alone {
        make(tx, &errands, &mut found)?;
    }
    let found = errands.iter().zip(found);
    tx.ahead().found =
        found.map(|(errand, found)| ((errand.agent, errand.target.clone(), errand.earlier), found)).collect();
    Ok(())
}

/// Fills in where events go, each in its place.
fn find<'l>(
    tx: &Tx<'_>,
    errands: impl Iterator<Item = (usize, &'l Errand)>,
    found: &mut [Option<Destination>],
) -> Result<()> {
    let mut by_id = Asked::new(lock_many_by!("id"), known_of_many_by!("id"), Column::Ints(Vec::new()));
    let mut by_name =
        Asked::new(lock_many_by!("conversation_id"), known_of_many_by!("conversation_id"), Column::Texts(Vec::new()));
    for (at, errand) in errands {
        let asked = match (errand.target.id, &errand.target.name) {
            (Some(id), _) => {
                by_id.keys.push(&id.into())?;
                &mut by_id
            }
            (None, Some(name)) => {
                by_name.keys.push(&name.into())?;
                &mut by_name
            }
            (None, None) => continue,
        };
        asked.push(at, errand.agent, &errand.earlier);
    }
    let asked: Vec<_> =
        [by_id, by_name].into_iter().filter(|asked| !asked.agents.is_empty()).map(Asked::into_columns).collect();
    for (lock, _, [agents, keys, ..]) in &asked {
        tx.lock(lock, &[Param::Column(agents), Param::Column(keys)])?;
    }
    let params: Vec<_> = asked.iter().map(|(_, _, columns)| columns.each_ref().map(Param::Column)).collect();
    let queries: Vec<Query<'_>> =
        asked.iter().zip(&params).map(|((_, find, _), params)| Query { sql: find, params }).collect();
    tx.each_of(&queries, &mut |_, row| {
        let at = usize::try_from(row.int(0)?).map_err(|_| damaged(0))?;
        if let Some(found) = found.get_mut(at) {
            *found = Some(destination(row, 1)?);
        }
        Ok(())
    })
}

/// Makes the conversations that events name and nobody has, and finds them.
fn make(tx: &Tx<'_>, errands: &[&Errand], found: &mut [Option<Destination>]) -> Result<()> {
    let lacking = |errand: &Errand, found: &Option<Destination>| found.is_none() && errand.target.id.is_none();
    // In one order on all nodes, so that none waits for a name of another that waits for one of its own.
    let mut wanted: BTreeMap<(AgentId, &str), (Timestamp, Vec<usize>)> = BTreeMap::new();
    for (at, (errand, found)) in errands.iter().zip(found.iter()).enumerate() {
        if let (true, Some(name)) = (lacking(errand, found), &errand.target.name) {
            let (_, places) =
                wanted.entry((errand.agent, name)).or_insert_with(|| (errand.earlier.timestamp, Vec::with_capacity(1)));
            places.push(at);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let mut ours = HashMap::with_capacity(wanted.len());
    for (&(agent, name), &(at, _)) in &wanted {
        ours.insert((agent, insert_bare(tx, agent, name, at)?), at);
    }
    let places = wanted.into_values().flat_map(|(_, places)| places);
    find(tx, places.filter_map(|at| errands.get(at).map(|errand| (at, *errand))), found)?;
    // Another node may have been quicker.
    let made: HashSet<_> = errands
        .iter()
        .zip(found.iter())
        .filter_map(|(errand, found)| Some((errand.agent, found.as_ref()?.0.id)))
        .collect();
    ours.retain(|made_by_us, _| made.contains(made_by_us));
    tx.ahead().unclaimed = ours;
    Ok(())
}
