//! Substring search, case ignored, in any script, from an index.
//!
//! Every text is cut into grams of three characters (folded, see [`agentsight_model::text`]), and a
//! document of the index is the set of grams of what one conversation gained at a time. A needle's
//! grams lead to candidate conversations, whose texts are then read: the index never decides. One or
//! two characters are found as the beginning of a gram, for which texts are padded at their end. A
//! gram carries its agent, so that one agent's search never meets another's text.
//!
//! The index is built behind the write; what it does not hold yet stands in `search_pending`, conversation by
//! conversation, written with the first row that it does not hold, and is read one by one. So a message is found by
//! the next request after its acknowledgement. Documents are never taken away: one that is out of date, or there
//! twice, is a candidate that its conversation's texts do not confirm.
//!
//! On a server the writer indexes in its pauses, in one transaction with the rows ([`index_pending`]). The embedded
//! engine has the index in a database of its own (`engine/grams.rs`), whose thread takes conversations, indexes them,
//! and puts them away ([`take`], [`gather`], [`put_away`]). A row of `search_pending` is gone only when the index
//! holds what it stood for, so that whoever reads the rows first and then the index misses nothing.

use std::collections::BTreeSet;

use agentsight_model::ids::{AgentId, ConversationId};
use agentsight_model::text::{Needle, fold};
use agentsight_model::time::Timestamp;

use crate::conversation::Known;
use crate::engine::ColumnType::Int;
use crate::engine::dialect::BETWEEN;
use crate::engine::{Batch, Param, Reader, Tx, params};
use crate::error::Result;
use crate::ids::Kind;

macro_rules! insert_pending {
    ($rows:literal) => {
        concat!(
            "insert into search_pending (agent_id, conversation) ",
            $rows,
            " on conflict (agent_id, conversation) do nothing"
        )
    };
}

static SEARCH_PENDING: Batch = Batch {
    one: insert_pending!("values (?1, ?2)"),
    many: insert_pending!("select * from unnest(?1, ?2)"),
    types: &[Int, Int],
    key: 0,
};

/// Characters of a gram.
const GRAM: usize = 3;
/// Stands for what follows the last character of a text: a letter that texts rarely hold, and a mere
/// false candidate where they do.
const PAD: char = '\u{fdd0}';
/// Grams of a needle that the index is asked for; a longer needle's others are left to the reading.
const GRAMS_ASKED: usize = 24;

/// `unindexed_since` of a conversation of which nothing is indexed.
pub(crate) const NEVER_INDEXED: Timestamp = Timestamp(0);
/// `unindexed_since` of a conversation whose messages are indexed, and some text of its own is not.
const OWN_TEXTS: Timestamp = Timestamp(i64::MAX);

/// Leaves a conversation that was just inserted, as [`NEVER_INDEXED`], to be indexed.
pub(crate) fn leave_new(tx: &Tx<'_>, agent: AgentId, conversation: ConversationId) -> Result<()> {
    tx.note_search_pending();
    tx.execute_batched(&SEARCH_PENDING, params![agent, conversation])
}

/// Leaves a message that was received at `now` to be indexed; answers the conversation's new
/// `unindexed_since`, which the caller writes with what else changes in its row.
pub(crate) fn leave_message(tx: &Tx<'_>, agent: AgentId, known: &Known, now: Timestamp) -> Result<Timestamp> {
    match known.unindexed_since {
        Some(since) => Ok(since.min(now)),
        None => leave_new(tx, agent, known.id).map(|()| now),
    }
}

/// Leaves a conversation's own texts (its name and ids) to be indexed again.
pub(crate) fn leave_texts(tx: &Tx<'_>, agent: AgentId, conversation: ConversationId) -> Result<()> {
    const MARK: &str =
        "update conversations set unindexed_since = ?3 where agent_id = ?1 and id = ?2 and unindexed_since is null";
    if tx.execute_counted(MARK, params![agent, conversation, OWN_TEXTS])? == 0 {
        Ok(())
    } else {
        leave_new(tx, agent, conversation)
    }
}

/// Leaves a whole conversation to be indexed anew.
pub(crate) fn leave_everything(tx: &Tx<'_>, agent: AgentId, conversation: ConversationId) -> Result<()> {
    const WAITING: &str = "select unindexed_since from conversations where agent_id = ?1 and id = ?2";
    const MARK: &str = "update conversations set unindexed_since = ?3 where agent_id = ?1 and id = ?2";
    let waits = tx.one(WAITING, params![agent, conversation], |row| row.opt_int(0))?.flatten().is_some();
    tx.execute(MARK, params![agent, conversation, NEVER_INDEXED])?;
    if waits { Ok(()) } else { leave_new(tx, agent, conversation) }
}

/// Leaves every conversation there is to be indexed anew.
pub(crate) fn leave_all(tx: &Tx<'_>) -> Result<()> {
    // The condition tells SQLite that "on conflict" is not the end of a join.
    const LEAVE: &str = "insert into search_pending (agent_id, conversation, since)
        select agent_id, id, 0 from conversations where true
        on conflict (agent_id, conversation) do update set since = 0, taken = null";
    tx.execute(LEAVE, &[])
}

pub(crate) fn count_pending(reader: &Reader<'_>) -> Result<u64> {
    Ok(reader
        .one("select count(*) from search_pending", &[], |row| row.int(0))?
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(0))
}

/// Conversations that are taken at a time to be indexed: on a server, nobody writes to them meanwhile.
const TAKEN: i64 = 128;

/// A conversation that waits to be indexed.
pub(crate) struct Waiting {
    agent: AgentId,
    conversation: ConversationId,
    /// Messages received since then are not in the index.
    since: Timestamp,
}

fn waiting(tx: &Tx<'_>, most: i64) -> Result<Vec<Waiting>> {
    const WAITING: &str = "select p.agent_id, p.conversation, p.since, c.unindexed_since from search_pending p
        join conversations c on c.agent_id = p.agent_id and c.id = p.conversation
        order by p.agent_id, p.conversation limit ?1";
    tx.all(&tx.of_nobody_else(WAITING), params![most], |row| {
        let since = [row.opt_timestamp(2)?, row.opt_timestamp(3)?].into_iter().flatten().min();
        let (agent, conversation) = (AgentId(row.int(0)?), ConversationId(row.int(1)?));
        Ok(Waiting { agent, conversation, since: since.unwrap_or(NEVER_INDEXED) })
    })
}

/// What the index gains of a conversation.
pub(crate) struct Gathered {
    pub(crate) agent: AgentId,
    pub(crate) conversation: ConversationId,
    /// Distinct, each ended by [`BETWEEN`].
    pub(crate) grams: String,
}

/// Reads conversations that wait, until about `most` messages were; answers what the index gains, and how many
/// conversations were read.
pub(crate) fn gather(reader: &Reader<'_>, waiting: &[Waiting], most: usize) -> Result<(Vec<Gathered>, usize)> {
    const UNINDEXED: &str =
        "select content from messages where agent_id = ?1 and conversation = ?2 and received_at >= ?3";
    let (mut gathered, mut messages, mut read) = (Vec::new(), 0, 0);
    for &Waiting { agent, conversation, since } in waiting {
        let mut grams = Grams::default();
        reader.each(UNINDEXED, params![agent, conversation, since], |row| {
            messages += 1;
            grams.collect(row.text(0)?);
            Ok(())
        })?;
        for text in own_texts_of(reader, agent, conversation)?.iter().flatten() {
            grams.collect(text);
        }
        read += 1;
        if !grams.gathered.is_empty() {
            gathered.push(Gathered { agent, conversation, grams: grams.document(agent) });
        }
        if messages >= most {
            break;
        }
    }
    Ok((gathered, read))
}

/// Indexes conversations that wait, until about `most` messages were; answers how many they were.
pub(crate) fn index_pending(tx: &Tx<'_>, most: usize) -> Result<u64> {
    const INDEXED: &str = "update conversations set unindexed_since = null where agent_id = ?1 and id = ?2";
    const DONE: &str = "delete from search_pending where agent_id = ?1 and conversation = ?2";
    let waiting = waiting(tx, TAKEN)?;
    let (gathered, read) = gather(tx, &waiting, most)?;
    for Waiting { agent, conversation, .. } in waiting.iter().take(read) {
        tx.execute(INDEXED, params![*agent, *conversation])?;
        tx.execute(DONE, params![*agent, *conversation])?;
    }
    for Gathered { agent, conversation, grams } in &gathered {
        let id = tx.next_id(Kind::SearchDoc)?;
        tx.add_document(*agent, id, *conversation, grams)?;
    }
    let are_all = waiting.len() < usize::try_from(TAKEN).unwrap_or(usize::MAX) && read == waiting.len();
    if are_all && !gathered.is_empty() {
        tx.sort_documents_in()?;
    }
    Ok(read as u64)
}

/// Takes so many conversations that wait, for an index that is not written in this transaction. Until they are put away,
/// searches read them as before; `slice` tells whose they are.
pub(crate) fn take(tx: &Tx<'_>, slice: i64, most: i64) -> Result<Vec<Waiting>> {
    const TAKE: &str = "update search_pending set since = ?3, taken = ?4 where agent_id = ?1 and conversation = ?2";
    // So that the next message says that there is more to index.
    const KNOWN: &str = "update conversations set unindexed_since = null where agent_id = ?1 and id = ?2 and unindexed_since is not null";
    let waiting = waiting(tx, most)?;
    for Waiting { agent, conversation, since } in &waiting {
        tx.execute(TAKE, params![*agent, *conversation, *since, slice])?;
        tx.execute(KNOWN, params![*agent, *conversation])?;
    }
    Ok(waiting)
}

/// Puts conversations away that were taken and are in the index now. What came to one of them meanwhile still waits, and
/// so does all of one that somebody else has taken since.
pub(crate) fn put_away(tx: &Tx<'_>, slice: i64, indexed: &[Waiting]) -> Result<()> {
    const DONE: &str = "delete from search_pending where agent_id = ?1 and conversation = ?2 and taken = ?3
        and exists (select 1 from conversations c where c.agent_id = ?1 and c.id = ?2 and c.unindexed_since is null)";
    const MORE: &str = "update search_pending set since = null, taken = null
        where agent_id = ?1 and conversation = ?2 and taken = ?3";
    for Waiting { agent, conversation, .. } in indexed {
        if tx.execute_counted(DONE, params![*agent, *conversation, slice])? == 0 {
            tx.execute(MORE, params![*agent, *conversation, slice])?;
        }
    }
    Ok(())
}

/// Name, sender's name and customer of a conversation.
fn own_texts_of(reader: &Reader<'_>, agent: AgentId, conversation: ConversationId) -> Result<[Option<String>; 3]> {
    const OWN: &str = "select name, conversation_id, customer_id from conversations where agent_id = ?1 and id = ?2";
    let found = reader.one(OWN, params![agent, conversation], |row| {
        Ok([row.opt_string(0)?, row.opt_string(1)?, row.opt_string(2)?])
    })?;
    Ok(found.unwrap_or_default())
}

/// A control character cannot stand in a gram; white space it may be, so a space stands for it.
fn gram_char(c: char) -> char {
    if c.is_ascii_control() { ' ' } else { c }
}

/// Bits of a character in a gram.
const CHAR_BITS: u32 = 21;

/// Grams that are gathered before they are sorted and told apart.
const GATHERED: usize = 64 * 1024;

/// Grams of texts, each packed into an integer that sorts as its characters do.
#[derive(Default)]
struct Grams {
    gathered: Vec<u64>,
    /// How many of the first ones are sorted, and each there once.
    distinct: usize,
}

impl Grams {
    fn collect(&mut self, text: &str) {
        const ALL: u64 = (1 << (CHAR_BITS * GRAM as u32)) - 1;
        let folded = fold(text);
        let mut window = 0;
        for (n, c) in folded.chars().map(gram_char).chain([PAD; GRAM - 1]).enumerate() {
            window = (window << CHAR_BITS | u64::from(u32::from(c))) & ALL;
            if n + 1 >= GRAM {
                self.gathered.push(window);
                if self.gathered.len() > GATHERED + 2 * self.distinct {
                    self.tell_apart();
                }
            }
        }
    }

    fn tell_apart(&mut self) {
        self.gathered.sort_unstable();
        self.gathered.dedup();
        self.distinct = self.gathered.len();
    }

    /// Each once, as a document of the index has them.
    fn document(mut self, agent: AgentId) -> String {
        self.tell_apart();
        let prefix = format!("{agent}:");
        let mut text = String::with_capacity(self.gathered.len() * (prefix.len() + GRAM + 2));
        for gram in &self.gathered {
            text.push_str(&prefix);
            for place in (0..GRAM as u32).rev() {
                let code = (gram >> (place * CHAR_BITS)) as u32 & ((1 << CHAR_BITS) - 1);
                text.extend(char::from_u32(code));
            }
            text.push(BETWEEN);
        }
        text
    }
}

/// A gram as the index holds it.
fn written(agent: AgentId, gram: &[char]) -> String {
    let mut text = format!("{agent}:");
    text.extend(gram);
    text
}

/// What the index is asked for a needle: all of its grams, or, where it is too short for one, those that
/// begin with it.
fn question(agent: AgentId, needle: &Needle) -> (Vec<String>, bool) {
    let chars: Vec<char> = needle.folded().chars().map(gram_char).collect();
    if chars.len() < GRAM {
        return (vec![written(agent, &chars)], true);
    }
    let grams: BTreeSet<&[char]> = chars.windows(GRAM).collect();
    let step = grams.len().div_ceil(GRAMS_ASKED).max(1);
    (grams.into_iter().step_by(step).map(|gram| written(agent, gram)).collect(), false)
}

/// Which texts of a conversation a needle may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// Some message.
    Messages,
    /// The display title.
    Name,
    /// The customer.
    CustomerId,
    /// Any of these, or the sender's name for the conversation.
    Anything,
}

/// The conversations of an agent that hold the needle, ascending, those in the trash included.
///
/// Without an index every conversation of the agent is read.
pub(crate) fn conversations_with(
    reader: &Reader<'_>,
    agent: AgentId,
    text: &str,
    within: Within,
    index: bool,
) -> Result<Vec<i64>> {
    let needle = Needle::new(text);
    let mut found = Vec::new();
    for conversation in candidates(reader, agent, &needle, index)? {
        if holds(reader, agent, conversation, &needle, within)? {
            found.push(conversation);
        }
    }
    Ok(found)
}

fn candidates(reader: &Reader<'_>, agent: AgentId, needle: &Needle, index: bool) -> Result<BTreeSet<i64>> {
    const EVERY: &str = "select id from conversations where agent_id = ?1";
    const WAITING: &str = "select conversation from search_pending where agent_id = ?1";
    let mut found = BTreeSet::new();
    let mut add = |sql: &str, params: &[Param<'_>]| {
        reader.each(sql, params, |row| {
            found.insert(row.int(0)?);
            Ok(())
        })
    };
    if !index || needle.folded().is_empty() {
        add(EVERY, params![agent])?;
        return Ok(found);
    }
    add(WAITING, params![agent])?;
    let (grams, is_beginning) = question(agent, needle);
    let has_index = reader.indexed_with(agent, &grams, is_beginning, |conversation| {
        found.insert(conversation);
    })?;
    if has_index { Ok(found) } else { candidates(reader, agent, needle, false) }
}

fn holds(reader: &Reader<'_>, agent: AgentId, conversation: i64, needle: &Needle, within: Within) -> Result<bool> {
    const CONTENTS: &str = "select content from messages where agent_id = ?1 and conversation = ?2";
    if within != Within::Messages {
        let [name, conversation_id, customer_id] = own_texts_of(reader, agent, ConversationId(conversation))?;
        let own = match within {
            Within::Name => vec![name],
            Within::CustomerId => vec![customer_id],
            Within::Anything | Within::Messages => vec![name, conversation_id, customer_id],
        };
        if own.iter().flatten().any(|text| needle.is_in(text)) {
            return Ok(true);
        }
        if within != Within::Anything {
            return Ok(false);
        }
    }
    let mut held = false;
    reader.each(CONTENTS, params![agent, conversation], |row| {
        held = held || needle.is_in(row.text(0)?);
        Ok(())
    })?;
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grams(text: &str) -> Vec<String> {
        let mut grams = Grams::default();
        grams.collect(text);
        let document = grams.document(AgentId(7)).replace(PAD, "$");
        document.split_terminator(BETWEEN).map(|gram| gram.strip_prefix("7:").unwrap().to_owned()).collect()
    }

    #[test]
    fn every_character_begins_a_gram() {
        assert_eq!(grams("Abcd"), ["abc", "bcd", "cd$", "d$$"]);
        assert_eq!(grams("退款"), ["款$$", "退款$"]);
        assert_eq!(grams("a"), ["a$$"]);
        assert_eq!(grams(""), Vec::<String>::new());
    }

    #[test]
    fn of_a_long_text_each_gram_is_kept_once() {
        let text = "abc".repeat(GATHERED);
        let mut long = Grams::default();
        long.collect(&text);

        assert!(long.gathered.len() <= GATHERED + 2 * long.distinct);
        assert_eq!(grams(&text), ["abc", "bca", "bc$", "cab", "c$$"]);
    }

    #[test]
    fn a_question_names_the_agent_in_every_gram() {
        let asked = |grams: &[&str]| grams.iter().map(|gram| (*gram).to_owned()).collect::<Vec<_>>();
        assert_eq!(question(AgentId(7), &Needle::new("A\"b\nc")), (asked(&["7:\"b ", "7:a\"b", "7:b c"]), false));
        assert_eq!(question(AgentId(7), &Needle::new("退")), (asked(&["7:退"]), true));
    }
}
