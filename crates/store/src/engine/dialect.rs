//! What the two engines say differently, side by side.
//!
//! Everything else of a statement is the same text. A rule of translation stands here with its test.

use std::borrow::Cow;

use agentsight_model::ids::{AgentId, ConversationId};

use super::{Param, Reader, Tx, params};
use crate::error::Result;

/// A portable statement as PostgreSQL takes it: `$1` for `?1`, `= any($1)` for a list.
pub(super) fn statement(sql: &str) -> String {
    const LIST: &str = "in (select value from rarray(";
    let mut text = String::with_capacity(sql.len() + 8);
    let mut rest = sql;
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        if !quoted && let Some(after) = rest.strip_prefix(LIST) {
            text.push_str("= any(");
            // Two brackets close the list, one the array.
            let end = after.find(')').unwrap_or(after.len());
            text.push_str(&statement(after.get(..end).unwrap_or_default()));
            rest = after.get(end + 1..).unwrap_or_default();
            continue;
        }
        if c == '\'' {
            quoted = !quoted;
        }
        text.push(if c == '?' && !quoted { '$' } else { c });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    text
}

/// A portable schema as PostgreSQL takes it: integers of 64 bits, texts that compare by their bytes.
pub(super) fn schema(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    for line in sql.lines() {
        text.push_str(&column(line).unwrap_or_else(|| line.replace(" without rowid", "")));
        text.push('\n');
    }
    text
}

/// A line that declares a column: its name, then its type.
fn column(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("    ")?.split_once(' ')?;
    let (kind, rest) = rest.split_at(rest.find([' ', ',']).unwrap_or(rest.len()));
    let kind = match kind {
        "integer" => "bigint",
        "text" => "text collate \"C\"",
        "blob" => "bytea",
        _ => return None,
    };
    Some(format!("    {name} {kind}{rest}"))
}

/// Ends one gram and begins the next in a document: a control character, which no gram holds.
pub(crate) const BETWEEN: char = '\u{1f}';
/// Bytes of grams that one document of PostgreSQL may hold: a `tsvector` ends at 1 MiB, its own
/// bookkeeping included.
const TSVECTOR_BYTES: usize = 512 * 1024;

/// A gram that no text has and every question of the agent asks for: the only one of a document that
/// would be too large, which so becomes a candidate always.
fn any_text(agent: AgentId) -> String {
    format!("{agent}:\u{fdd1}")
}

impl Tx<'_> {
    /// A selection of rows that no other node has in hand, and none will until the commit. On a server
    /// several nodes may look for the same work: each takes its own, and waits for nobody.
    pub(crate) fn of_nobody_else<'s>(&self, select: &'s str) -> Cow<'s, str> {
        match &self.reader {
            Reader::Sqlite(_) => select.into(),
            Reader::Postgres(_) => format!("{select} for update skip locked").into(),
        }
    }

    /// A selection of rows that nobody changes until the commit, though others may select them likewise.
    pub(crate) fn kept_as_it_is<'s>(&self, select: &'s str) -> Cow<'s, str> {
        match &self.reader {
            Reader::Sqlite(_) => select.into(),
            Reader::Postgres(_) => format!("{select} for share").into(),
        }
    }

    /// Adds a document to the search index of a server: the grams of what one conversation gained at a time, distinct,
    /// their agent before and [`BETWEEN`] after each. The embedded engine's index is not written in this transaction.
    pub(crate) fn add_document(
        &self,
        agent: AgentId,
        id: i64,
        conversation: ConversationId,
        grams: &str,
    ) -> Result<()> {
        let own = any_text(agent);
        let grams = grams.trim_end_matches(BETWEEN);
        let grams = if grams.len() > TSVECTOR_BYTES { &own } else { grams };
        self.execute(
            "insert into search_docs (agent_id, id, conversation, grams) values (?1, ?2, ?3, array_to_tsvector(string_to_array(?4, chr(31))))",
            params![agent, id, conversation, grams],
        )
    }

    /// Makes the documents that came last as quick to find as the others, where nobody waits for more of them: a server
    /// keeps them in a list that every search reads whole.
    pub(crate) fn sort_documents_in(&self) -> Result<()> {
        match &self.reader {
            Reader::Sqlite(_) => Ok(()),
            Reader::Postgres(_) => self.execute("select gin_clean_pending_list('search_docs_grams'::regclass)", &[]),
        }
    }
}

impl Reader<'_> {
    /// Runs `each` on the conversations whose documents hold all of these grams, or one that begins with
    /// the only one.
    pub(crate) fn indexed_with(
        &self,
        agent: AgentId,
        grams: &[String],
        is_beginning: bool,
        mut each: impl FnMut(i64),
    ) -> Result<()> {
        const FTS5: &str = "select d.conversation from search_grams join search_docs d on d.id = search_grams.rowid where search_grams match ?1";
        // The sum keeps the planner from the primary key: it leads to every document of the agent, and what reading
        // their grams costs is not in its estimate.
        const TSQUERY: &str =
            "select conversation from search_docs where agent_id + 0 = ?1 and grams @@ cast(?2 as text)::tsquery";
        let mut put = |row: &super::Row<'_>| {
            each(row.int(0)?);
            Ok(())
        };
        match self {
            Reader::Sqlite(_) => self.each(FTS5, params![&fts5(grams, is_beginning)], &mut put),
            Reader::Postgres(_) => {
                let question = tsquery(agent, grams, is_beginning);
                self.each(TSQUERY, &[agent.into(), Param::Text(&question)], &mut put)
            }
        }
    }
}

fn fts5(grams: &[String], is_beginning: bool) -> String {
    let quoted: Vec<String> = grams.iter().map(|gram| format!("\"{}\"", gram.replace('"', "\"\""))).collect();
    let all = quoted.join(" AND ");
    if is_beginning { format!("{all} *") } else { all }
}

fn tsquery(agent: AgentId, grams: &[String], is_beginning: bool) -> String {
    let quote = |gram: &String| format!("'{}'", gram.replace('\\', "\\\\").replace('\'', "''"));
    let beginning = if is_beginning { ":*" } else { "" };
    let all: Vec<String> = grams.iter().map(|gram| format!("{}{beginning}", quote(gram))).collect();
    format!("({}) | {}", all.join(" & "), quote(&any_text(agent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_lists_are_written_as_the_server_reads_them() {
        assert_eq!(
            statement("select '?1' from t where a = ?1 and (b in (select value from rarray(?12)) or c = ?2)"),
            "select '?1' from t where a = $1 and (b = any($12) or c = $2)"
        );
    }

    #[test]
    fn a_column_keeps_its_name_and_changes_its_type() {
        let portable = "create table text (\n    -- a text, an integer\n    text text not null unique, -- text\n    id integer primary key,\n    hash blob,\n    primary key (text, id)\n) without rowid;\n";
        let own = "create table text (\n    -- a text, an integer\n    text text collate \"C\" not null unique, -- text\n    id bigint primary key,\n    hash bytea,\n    primary key (text, id)\n);\n";
        // The first word of a column's line is its name, whatever it is called.
        assert_eq!(schema(portable), own);
    }

    #[test]
    fn a_question_is_quoted_for_each_engine() {
        let grams = ["7:a\"b".to_owned(), "7:o'\\".to_owned()];
        assert_eq!(fts5(&grams, false), "\"7:a\"\"b\" AND \"7:o'\\\"");
        assert_eq!(tsquery(AgentId(7), &grams, false), "('7:a\"b' & '7:o''\\\\') | '7:\u{fdd1}'");
        assert_eq!(tsquery(AgentId(7), &["7:退".to_owned()], true), "('7:退':*) | '7:\u{fdd1}'");
    }
}
