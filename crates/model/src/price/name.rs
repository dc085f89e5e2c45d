//! How a model may be called in a price list, from what whoever called it says.

use crate::limits::TEXT_CHARS;

/// Words before the first dot that say where a model runs.
const REGIONS: [&str; 11] = ["us", "eu", "apac", "global", "us-gov", "jp", "au", "ca", "sa", "me", "af"];
/// Words before a dot that say whose model it is.
const VENDORS: [&str; 17] = [
    "anthropic",
    "amazon",
    "meta",
    "mistral",
    "cohere",
    "ai21",
    "deepseek",
    "openai",
    "qwen",
    "stability",
    "writer",
    "moonshot",
    "moonshotai",
    "minimax",
    "google",
    "nvidia",
    "zai",
];
/// What is put behind a model to say how it is served.
const TAGS: [&str; 11] =
    ["free", "beta", "extended", "thinking", "online", "nitro", "floor", "exacto", "latest", "batch", "default"];
/// What stands before a fine-tuned model.
const FINE_TUNED: &str = "ft:";
/// Parts of a path that are taken off at most.
const PATH_PARTS: usize = 8;

/// The names under which a price list may have a model, in lower case.
///
/// Each group is to be asked for any of its names before the next: a fine-tuned model has one of its own and one of its
/// base. Within a group the fullest name is first. Taken off are, one after the other: the parts of a path
/// (`openai/`, `models/`, `bedrock/`), region and vendor (`us.anthropic.`); from the end, tags (`:free`), versions
/// (`-v1:0`, `@001`), dates (`-20241022`, `-2024-07-18`) and `-latest`. Claude's versions are also
/// tried with a dash for their dot.
///
/// An id that is longer than any name has none.
#[must_use]
pub fn spellings(model: &str) -> Vec<Vec<String>> {
    let model = model.trim().to_lowercase();
    if model.is_empty() || model.chars().count() > TEXT_CHARS {
        return Vec::new();
    }
    let own = group(&model);
    let base = starts(&model).into_iter().find_map(|start| model.get(start..)?.strip_prefix(FINE_TUNED));
    match base.map(|base| base.split(':').next().unwrap_or(base)).filter(|base| !base.is_empty()) {
        Some(base) => vec![own, group(base)],
        None => vec![own],
    }
}

fn group(model: &str) -> Vec<String> {
    let starts = starts(model);
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    for end in ends(model) {
        for start in &starts {
            let Some(name) = model.get(*start..end) else { continue };
            add(name.to_owned());
            // OpenRouter and others write 4.5 where Anthropic writes 4-5.
            if name.starts_with("claude-") && name.contains('.') {
                add(name.replace('.', "-"));
            }
        }
    }
    names
}

/// Where a name may begin: at its beginning, behind each part of a path, behind region and vendor.
fn starts(model: &str) -> Vec<usize> {
    let parts = model.match_indices('/').map(|(at, _)| at + 1).take(PATH_PARTS);
    let mut starts: Vec<usize> = std::iter::once(0).chain(parts).collect();
    // One more for an ARN, whose last part follows however many others.
    let mut start = model.rfind('/').map_or(0, |at| at + 1);
    if starts.last() != Some(&start) {
        starts.push(start);
    }
    while let Some((word, _)) = model.get(start..).and_then(|rest| rest.split_once('.'))
        && (REGIONS.contains(&word) || VENDORS.contains(&word))
    {
        start += word.len() + 1;
        starts.push(start);
    }
    starts
}

/// Where a name may end: at its end, and before each ending that can be taken off.
fn ends(model: &str) -> Vec<usize> {
    let mut ends = vec![model.len()];
    let mut rest = model;
    // `ft:base:organisation:suffix:id`
    if let Some(at) = rest.find(FINE_TUNED).filter(|at| *at == 0 || rest.as_bytes().get(at - 1) == Some(&b'/'))
        && let Some(colon) = rest.get(at + FINE_TUNED.len()..).and_then(|base| base.find(':'))
    {
        rest = rest.get(..at + FINE_TUNED.len() + colon).unwrap_or(rest);
        ends.push(rest.len());
    }
    while let Some(shorter) = without_ending(rest).filter(|shorter| !shorter.is_empty()) {
        rest = shorter;
        ends.push(rest.len());
    }
    ends
}

fn without_ending(name: &str) -> Option<&str> {
    if let Some((head, tag)) = name.rsplit_once(':')
        && TAGS.contains(&tag)
    {
        return Some(head);
    }
    if let Some((head, _)) = name.rsplit_once('@') {
        return Some(head);
    }
    if let Some((head, end)) = name.rsplit_once('-')
        && (end == "latest" || is_version(end) || is_day(end))
    {
        return Some(head);
    }
    // `-2024-07-18`
    let (head, end) = name.split_at_checked(name.len().checked_sub("-2024-07-18".len())?)?;
    let is_date = end.starts_with('-') && end.matches('-').count() == 3 && is_day(&end.replace('-', ""));
    is_date.then_some(head)
}

/// `v1:0`, `1:0`, `v1:0:200k`, as Bedrock has them. `v3` by itself is a part of the name.
fn is_version(end: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.len() < 4 && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = end.split(':');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match major.strip_prefix('v') {
        Some(major) => is_number(major) && is_number(minor),
        None => is_number(major) && minor == "0",
    }
}

/// `20241022`
fn is_day(text: &str) -> bool {
    let number = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u16>().ok());
    text.len() == 8
        && text.bytes().all(|b| b.is_ascii_digit())
        && number(0, 4).is_some_and(|year| (2015..2100).contains(&year))
        && number(4, 6).is_some_and(|month| (1..=12).contains(&month))
        && number(6, 8).is_some_and(|day| (1..=31).contains(&day))
}

/// A name and what it begins with, the longest first: whole words, so that `gpt-4` is no beginning of `gpt-4o` nor of
/// `gpt-4.1`.
pub fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.rmatch_indices(['-', ':', '@', '/', '_', ' ']).map(|(at, _)| at);
    std::iter::once(name.len()).chain(ends).filter_map(|end| name.get(..end)).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_say_leads_to_the_name_of_a_price_list() {
        // An id, and a name that a price list has for it.
        for (model, listed) in [
            ("gpt-4o", "gpt-4o"),
            ("  GPT-4o ", "gpt-4o"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("openai/gpt-4o-mini", "gpt-4o-mini"),
            ("azure/gpt-4o-2024-08-06", "azure/gpt-4o"),
            ("azure/gpt-4o-2024-08-06", "gpt-4o"),
            ("azure/eu/gpt-4o", "gpt-4o"),
            ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"),
            ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
            ("claude-3-5-sonnet@20241022", "claude-3-5-sonnet"),
            ("vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
            ("bedrock/eu.anthropic.claude-3-haiku-20240307-v1:0:200k", "claude-3-haiku-20240307"),
            ("bedrock/converse/us-gov.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
            (
                "arn:aws:bedrock:us-east-1:123:inference-profile/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "claude-sonnet-4-5",
            ),
            ("meta.llama3-1-8b-instruct-v1:0", "llama3-1-8b-instruct"),
            ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
            ("models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("models/gemini-1.5-flash-latest", "gemini-1.5-flash"),
            ("publishers/google/models/gemini-2.0-flash@001", "gemini-2.0-flash"),
            ("openrouter/anthropic/claude-sonnet-4.5:beta", "claude-sonnet-4-5"),
            ("anthropic/claude-3.5-haiku", "claude-3-5-haiku"),
            ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
            ("deepseek/deepseek-r1:free", "deepseek-r1"),
            ("accounts/fireworks/models/llama-v3p1-8b-instruct", "llama-v3p1-8b-instruct"),
            ("text-embedding-3-small", "text-embedding-3-small"),
            ("ft:gpt-4o-mini-2024-07-18:org::id", "ft:gpt-4o-mini-2024-07-18"),
            ("ft:gpt-4o-mini-2024-07-18:org::id", "ft:gpt-4o-mini"),
            ("ft:gpt-4o-mini:org::id", "gpt-4o-mini"),
            ("openai/ft:gpt-4o-mini-2024-07-18:org:name:id", "gpt-4o-mini"),
        ] {
            let names = spellings(model);
            assert!(names.iter().flatten().any(|name| name == listed), "{model} has {names:?}, and not {listed}");
        }
    }

    #[test]
    fn what_belongs_to_a_name_stays() {
        for (model, lost) in [
            ("gpt-4.1", "gpt-4"),
            ("gpt-4.1", "1"),
            ("deepseek-v3", "deepseek"),
            ("llama3:8b", "llama3"),
            ("qwen2.5-coder:7b", "qwen2.5-coder"),
            ("gpt-4-0613", "gpt-4"),
            ("gpt-4-32001301", "gpt-4"),
            ("gpt-4-2024-13-01", "gpt-4"),
            ("minimax-m1", "m1"),
        ] {
            let names = spellings(model);
            assert!(!names.iter().flatten().any(|name| name == lost), "{model} has {names:?}");
        }
    }

    #[test]
    fn the_fullest_name_is_asked_for_first() {
        assert_eq!(
            spellings("azure/gpt-4o-2024-05-13"),
            [["azure/gpt-4o-2024-05-13", "gpt-4o-2024-05-13", "azure/gpt-4o", "gpt-4o"]]
        );
        assert_eq!(spellings("ft:gpt-4o:org::id"), [vec!["ft:gpt-4o:org::id", "ft:gpt-4o"], vec!["gpt-4o"]]);
        assert_eq!(beginnings("gpt-4o-mini").collect::<Vec<_>>(), ["gpt-4o-mini", "gpt-4o", "gpt"]);
    }

    #[test]
    fn odd_ids_have_few_names_and_do_no_harm() {
        for model in [
            "",
            " ",
            &"x".repeat(300),
            &"a/".repeat(100),
            &"-".repeat(200),
            "ft:",
            "ft::::",
            "@",
            ":free",
            "é-20241022",
            "/",
            "...",
        ] {
            let names: usize = spellings(model).iter().map(Vec::len).sum();
            assert!(names < 64, "{model}: {names}");
        }
        assert!(spellings(&"x".repeat(300)).is_empty());
    }
}
