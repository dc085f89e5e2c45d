//! The synthetic data set: conversation `i` is always the same, on every machine.
//!
//! A store loaded by one run can therefore be read by another, the server and the baselines hold
//! the same rows, and what a filter must find is known without asking. No data files are needed.
//!
//! One conversation: 10 messages of 20 to 400 characters, 2 actions, 3 metadata keys, a feedback on
//! every 4th, a mark on every 50th. They follow each other in time, as they would arrive.

use crate::rng::{Rng, scramble};
use crate::text;

/// Changes whenever a conversation would come out differently, so that a kept store is not mixed up with a new one.
pub(crate) const VERSION: u32 = 1;

/// Messages of one conversation, actions not counted.
pub(crate) const MESSAGES: u64 = 10;
/// Actions of one conversation; the server shows each as one more message.
pub(crate) const ACTIONS: u64 = 2;

/// Stands in one message of [`RARE_HOLDERS`] conversations, however large the store.
pub(crate) const RARE: &str = "xylograph-7731";
/// How many conversations hold [`RARE`].
pub(crate) const RARE_HOLDERS: u64 = 20;
/// Stands in one message of one conversation in 20.
pub(crate) const COMMON: &str = "refund";
/// Stands nowhere.
pub(crate) const ABSENT: &str = "no-such-needle-anywhere";

/// The message, counted from 0, that the needles are put into: neither first nor last.
const NEEDLE_MESSAGE: u64 = 4;
/// 2025-01-01T00:00:00Z in microseconds, when conversation 0 starts.
pub(crate) const EPOCH_US: i64 = 1_735_689_600_000_000;
/// From one conversation's start to the next; 200 000 of them fill 86 days.
const STEP_US: i64 = 37_000_000;

const DEVICES: &[&str] = &["desktop", "mobile", "tablet"];
const PLANS: &[&str] = &["free", "pro", "team", "enterprise"];
const REGIONS: &[&str] = &["eu-west", "us-east", "ap-south"];
const TOOLS: &[&str] = &["lookup_order", "search_docs", "create_ticket", "get_invoice"];

/// A store of a given number of conversations.
///
/// The number decides one thing only: which conversations hold the rare needle, so that they are
/// spread evenly over a store of any size. Everything else depends on the index alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dataset {
    pub(crate) conversations: u64,
}

/// What filters look at, without the text; cheap enough to count over a whole store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) started_at_us: i64,
    pub(crate) customer_id: String,
    pub(crate) device: &'static str,
    pub(crate) language: &'static str,
    pub(crate) plan: &'static str,
    pub(crate) region: &'static str,
    pub(crate) build: u64,
    pub(crate) sentiment: Option<&'static str>,
    pub(crate) is_marked: bool,
    pub(crate) has_common: bool,
    pub(crate) has_rare: bool,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) at_us: i64,
    pub(crate) sender: &'static str,
    pub(crate) content: String,
}

/// One tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// The message, counted from 0, that it comes after.
    pub(crate) after: u64,
    pub(crate) name: &'static str,
    pub(crate) at_us: i64,
    pub(crate) duration_ms: u64,
    pub(crate) query: String,
    pub(crate) response: String,
}

/// One conversation, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) conversation_id: String,
    pub(crate) name: String,
    pub(crate) facts: Facts,
    pub(crate) messages: Vec<Message>,
    pub(crate) actions: Vec<Action>,
    /// The comment that goes with `facts.sentiment`.
    pub(crate) comment: String,
}

/// The sender's own id of conversation `index`, in the shape that the SDK generates.
pub(crate) fn conversation_id(index: u64) -> String {
    format!("conv_{:016x}", scramble(index.wrapping_add(1)))
}

impl Dataset {
    /// Whether conversation `index` holds [`RARE`]: the middle of each of 20 equal stretches.
    fn has_rare(self, index: u64) -> bool {
        let holders = RARE_HOLDERS.min(self.conversations);
        (0..holders).any(|k| (2 * k + 1) * self.conversations / (2 * holders) == index)
    }

    /// Facts of conversation `index`, which must be below `conversations`.
    pub(crate) fn facts(self, index: u64) -> Facts {
        let mut rng = Rng::new(1, index);
        let language = match rng.below(100) {
            0..80 => "en",
            80..90 => "hr",
            90..95 => "zh",
            _ => "ar",
        };
        Facts {
            started_at_us: EPOCH_US + index as i64 * STEP_US + rng.below(1_000_000) as i64,
            customer_id: format!("cust-{:05}", rng.below(20_000)),
            device: rng.pick(DEVICES),
            language,
            plan: rng.pick(PLANS),
            region: rng.pick(REGIONS),
            build: 400 + rng.below(100),
            has_common: rng.one_in(20),
            sentiment: index.is_multiple_of(4).then(|| rng.pick(&["positive", "positive", "neutral", "negative"])),
            is_marked: index % 50 == 7,
            has_rare: self.has_rare(index),
        }
    }

    /// Conversation `index`, which must be below `conversations`.
    pub(crate) fn conversation(self, index: u64) -> Conversation {
        let facts = self.facts(index);
        let mut rng = Rng::new(2, index);
        let messages = (0..MESSAGES)
            .map(|k| {
                let by_agent = k % 2 == 1;
                let mut content = text::message(&mut rng, facts.language, by_agent);
                if k == NEEDLE_MESSAGE {
                    if facts.has_common {
                        plant(COMMON, &mut content);
                    }
                    if facts.has_rare {
                        plant(RARE, &mut content);
                    }
                }
                Message {
                    at_us: facts.started_at_us + k as i64 * 9_000_000 + rng.below(1_000_000) as i64,
                    sender: if by_agent { "agent" } else { "end_user" },
                    content,
                }
            })
            .collect();
        let actions = (0..ACTIONS)
            .map(|k| Action {
                after: 2 + 4 * k,
                name: rng.pick(TOOLS),
                at_us: facts.started_at_us + (2 + 4 * k as i64) * 9_000_000 + 2_000_000 + rng.below(1_000_000) as i64,
                duration_ms: 20 + rng.below(900),
                query: text::passage(&mut rng, facts.language, false, 30),
                response: sized_passage(&mut rng, facts.language, 40, 200),
            })
            .collect();
        Conversation {
            conversation_id: conversation_id(index),
            name: text::passage(&mut rng, facts.language, false, 32),
            comment: sized_passage(&mut rng, facts.language, 20, 120),
            facts,
            messages,
            actions,
        }
    }

    /// How many conversations a filter must find.
    pub(crate) fn count(self, matches: impl Fn(&Facts) -> bool) -> u64 {
        (0..self.conversations).filter(|index| matches(&self.facts(*index))).count() as u64
    }
}

/// A passage between two lengths.
fn sized_passage(rng: &mut Rng, language: &str, shortest: u64, longest: u64) -> String {
    let characters = shortest + rng.below(longest - shortest + 1);
    text::passage(rng, language, true, characters as usize)
}

/// Puts `needle` behind the first word, and keeps the message within its longest length.
fn plant(needle: &str, content: &mut String) {
    let room = 400 - needle.len() - 2;
    if let Some((cut, _)) = content.char_indices().nth(room) {
        content.truncate(cut);
    }
    let at = content.find(' ').unwrap_or(content.len());
    content.insert_str(at, needle);
    content.insert(at, ' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(set: Dataset, needle: &str) -> u64 {
        (0..set.conversations)
            .filter(|index| set.conversation(*index).messages.iter().any(|message| message.content.contains(needle)))
            .count() as u64
    }

    #[test]
    fn a_conversation_is_always_the_same() {
        let set = Dataset { conversations: 10_000 };
        assert_eq!(set.conversation(4_321), set.conversation(4_321));
        assert_ne!(set.conversation(4_321), set.conversation(4_322));
        // The size of the store moves the rare needle and nothing else.
        assert_eq!(set.conversation(17), Dataset { conversations: 200_000 }.conversation(17));
        // FNV-1a over a hundred conversations. Whoever has to change this number also changes VERSION.
        let text: String = (0..100).map(|index| format!("{:?}", set.conversation(index))).collect();
        let sum = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        assert_eq!((VERSION, sum), (1, 15_792_384_510_324_229_351));
    }

    #[test]
    fn messages_have_their_length_and_order() {
        let set = Dataset { conversations: 1_000 };
        for index in 0..1_000 {
            let conversation = set.conversation(index);
            assert_eq!(conversation.messages.len() as u64, MESSAGES);
            assert_eq!(conversation.actions.len() as u64, ACTIONS);
            for message in &conversation.messages {
                let length = message.content.chars().count();
                assert!((20..=400).contains(&length), "{length}: {}", message.content);
                assert_eq!(message.content.trim(), message.content);
                assert!(!message.content.contains('{'), "{}", message.content);
            }
            assert!(conversation.messages.is_sorted_by(|a, b| a.at_us < b.at_us));
            assert!(index == 0 || set.facts(index - 1).started_at_us < conversation.facts.started_at_us);
        }
    }

    #[test]
    fn the_rare_needle_is_in_exactly_twenty() {
        for conversations in [20, 21, 500, 3_000] {
            assert_eq!(holding(Dataset { conversations }, RARE), RARE_HOLDERS, "of {conversations}");
        }
        for conversations in [10_000, 200_000] {
            assert_eq!(Dataset { conversations }.count(|facts| facts.has_rare), RARE_HOLDERS, "of {conversations}");
        }
    }

    #[test]
    fn the_other_needles_are_where_they_are_said_to_be() {
        let set = Dataset { conversations: 4_000 };
        let common = holding(set, COMMON);
        assert_eq!(common, set.count(|facts| facts.has_common));
        assert!((160..=240).contains(&common), "about 5 %: {common} of 4000");
        assert_eq!(holding(set, ABSENT), 0);
    }

    #[test]
    fn several_scripts_are_spoken() {
        let set = Dataset { conversations: 1_000 };
        for language in ["en", "hr", "zh", "ar"] {
            assert!(set.count(|facts| facts.language == language) > 20, "{language}");
        }
        assert!(holding(set, "👍") > 20);
    }
}
