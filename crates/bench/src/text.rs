//! Plausible support chat: what people and a bot write to each other, in four scripts.
//!
//! The words matter to two figures. A search index is as large as the text is varied, so sentences
//! are made of slots filled from word lists, numbers and codes rather than repeated whole. And
//! nothing here may contain [`crate::dataset::COMMON`] or the needles, which are planted by count.

use crate::rng::Rng;

/// Length of a message in characters.
const SHORTEST: u64 = 20;
const LONGEST: u64 = 400;

const EMOJI: &[&str] = &["🙂", "👍", "🙏", "😕", "🎉", "📦", "❤️", "🤔", "👩‍💻", "🚚"];

const SENTENCES: &[&str] = &[
    "My {noun} has not arrived and the {noun} page says {state}.",
    "Order {code} still shows {state} since {day}, could you check it?",
    "I tried to {verb} the {noun} twice and got error {number}.",
    "Can I {verb} my {noun} before {day}?",
    "The {adjective} {noun} I bought in {city} does not {verb} with the {product}.",
    "How do I {verb} the {product} without losing the {noun}?",
    "Thanks, the {noun} works again after I restarted the {product}.",
    "Why was I charged {money} for the {noun} on {day}?",
    "I need the {noun} sent to {city} instead, postcode {number}.",
    "Your app keeps asking me to {verb} the {noun}.",
    "Is the {product} in {adjective} still available in {city}?",
    "I have been waiting for {count} days and nobody answered.",
    "Please {verb} the {noun} as soon as possible.",
    "It says the {noun} is {state}, but I can see it in my {noun}.",
];
const REPLIES: &[&str] = &[
    "Thank you for waiting, I have found order {code} and it is {state}.",
    "I am sorry about that. The {noun} should reach {city} by {day}.",
    "You can {verb} the {noun} under Settings, then {noun}, then {noun}.",
    "The {noun} was {state} on {day}; the reference is {code}.",
    "Could you tell me the last four digits of the {noun}?",
    "I have asked a colleague to {verb} the {noun}, this takes about {count} hours.",
    "The {product} supports the {adjective} {noun} from version {count}.{count} on.",
    "To {verb} the {noun}, please hold the power button for {count} seconds.",
    "The amount of {money} was returned to your {noun}.",
    "Is there anything else I can {verb} for you today?",
    "Your {noun} number is {number}, please keep it for later.",
    "We deliver to {city} on {day} between {count} and {number} minutes after noon.",
];
const NOUNS: &[&str] = &[
    "account",
    "address",
    "adapter",
    "agreement",
    "balance",
    "basket",
    "battery",
    "bill",
    "booking",
    "cable",
    "calendar",
    "camera",
    "cancellation",
    "card",
    "charger",
    "claim",
    "confirmation",
    "connection",
    "contract",
    "coupon",
    "courier",
    "customer number",
    "dashboard",
    "delivery",
    "deposit",
    "discount",
    "document",
    "download",
    "email",
    "exchange",
    "fee",
    "firmware",
    "gift card",
    "guarantee",
    "headset",
    "insurance",
    "invitation",
    "invoice",
    "keyboard",
    "label",
    "licence",
    "login",
    "manual",
    "membership",
    "network",
    "newsletter",
    "notification",
    "package",
    "parcel",
    "passport",
    "password",
    "payment",
    "phone",
    "printer",
    "profile",
    "purchase",
    "quote",
    "receipt",
    "remote control",
    "replacement",
    "reservation",
    "return form",
    "router",
    "schedule",
    "screen",
    "seat",
    "serial number",
    "shipment",
    "signature",
    "size",
    "statement",
    "subscription",
    "tariff",
    "ticket",
    "tracking link",
    "upgrade",
    "voucher",
    "warranty",
    "website",
    "workspace",
];
const VERBS: &[&str] = &[
    "activate", "add", "block", "cancel", "change", "collect", "confirm", "connect", "correct", "delete", "download",
    "exchange", "extend", "find", "forward", "install", "merge", "move", "open", "pair", "pause", "pay", "postpone",
    "print", "renew", "repair", "replace", "reset", "return", "scan", "send", "set up", "sign", "split", "transfer",
    "unlock", "update", "upload", "verify", "withdraw",
];
const ADJECTIVES: &[&str] = &[
    "black",
    "blue",
    "broken",
    "cheaper",
    "digital",
    "extra large",
    "faulty",
    "green",
    "heavy",
    "missing",
    "new",
    "old",
    "paper",
    "premium",
    "second",
    "silver",
    "small",
    "spare",
    "white",
    "wireless",
    "wrong",
    "yearly",
];
const STATES: &[&str] = &[
    "accepted",
    "delayed",
    "delivered",
    "expired",
    "in transit",
    "locked",
    "lost",
    "on hold",
    "paid",
    "pending",
    "processed",
    "rejected",
    "returned",
    "waiting for approval",
];
const PRODUCTS: &[&str] = &[
    "Aurora lamp",
    "Bluebird speaker",
    "Cobalt router",
    "Delta tablet",
    "Ember kettle",
    "Falcon drone",
    "Granite case",
    "Harbor watch",
    "Iris camera",
    "Juniper scale",
    "Kestrel bike",
    "Lumen panel",
];
const CITIES: &[&str] = &[
    "Amsterdam",
    "Berlin",
    "Bristol",
    "Dublin",
    "Ghent",
    "Graz",
    "Leeds",
    "Lyon",
    "Malmö",
    "Osijek",
    "Porto",
    "Rijeka",
    "Split",
    "Tallinn",
    "Turin",
    "Vienna",
    "Zadar",
    "Zagreb",
    "Zürich",
];
const DAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", "yesterday", "tomorrow"];

const CROATIAN: &[&str] = &[
    "Dobar dan, moja narudžba {code} još nije stigla u {city}.",
    "Možete li provjeriti račun broj {number}?",
    "Hvala na strpljenju, pošiljka je na putu i stiže za {count} dana.",
    "Želio bih promijeniti adresu dostave prije nego što paket krene.",
    "Aplikacija mi stalno javlja grešku {number} kad pokušam platiti.",
    "Iznos od {money} bit će vraćen na vašu karticu.",
    "Kako mogu produžiti pretplatu i zadržati istu cijenu?",
    "Molim vas pošaljite mi potvrdu na e-poštu, šifra je {code}.",
];
const CHINESE: &[&str] = &[
    "您好,我的订单{code}还没有到,请帮我查一下。",
    "我想修改收货地址,包裹现在在哪里?",
    "感谢您的耐心等待,预计{count}天内送达。",
    "付款时出现错误{number},请问怎么处理?",
    "发票号码是{number},请发送到我的邮箱。",
    "您的退货申请已经通过,金额为{money}。",
    "这个产品的保修期是多久?需要保留包装吗?",
];
const ARABIC: &[&str] = &[
    "مرحبا، لم يصل طلبي رقم {code} حتى الآن.",
    "هل يمكنكم تغيير عنوان التسليم قبل الشحن؟",
    "شكرا لانتظارك، سيصل الطرد خلال {count} أيام.",
    "ظهرت لي رسالة خطأ {number} عند الدفع.",
    "أرجو إرسال الفاتورة رقم {number} إلى بريدي.",
    "تمت إعادة مبلغ {money} إلى بطاقتك.",
    "كيف يمكنني تجديد الاشتراك بنفس السعر؟",
];

/// What is spoken in a conversation of this `language` code.
fn sentences(language: &str, by_agent: bool) -> &'static [&'static str] {
    match (language, by_agent) {
        ("hr", _) => CROATIAN,
        ("zh", _) => CHINESE,
        ("ar", _) => ARABIC,
        (_, true) => REPLIES,
        (_, false) => SENTENCES,
    }
}

/// Writes one message of 20 to 400 characters; short ones are more frequent than long ones.
pub(crate) fn message(rng: &mut Rng, language: &str, by_agent: bool) -> String {
    let range = LONGEST - SHORTEST + 1;
    let wanted = SHORTEST + rng.below(range).min(rng.below(range));
    let mut text = passage(rng, language, by_agent, wanted as usize);
    if rng.one_in(8) && text.chars().count() + 10 < LONGEST as usize {
        text.push(' ');
        text.push_str(rng.pick(EMOJI));
    }
    text
}

/// Writes sentences cut to exactly `characters`, or one less than that where the cut would leave a blank
/// at the end, which servers may trim.
pub(crate) fn passage(rng: &mut Rng, language: &str, by_agent: bool, characters: usize) -> String {
    let pool = sentences(language, by_agent);
    let mut text = String::with_capacity(characters + 128);
    let mut length = 0;
    while length < characters {
        let start = text.len();
        if !text.is_empty() {
            text.push(' ');
        }
        let pattern = rng.pick(pool);
        fill(rng, pattern, &mut text);
        length += text.get(start..).unwrap_or_default().chars().count();
    }
    if let Some((cut, _)) = text.char_indices().nth(characters) {
        text.truncate(cut);
    }
    if text.ends_with(' ') {
        text.pop();
        text.push('.');
    }
    text
}

/// Appends `pattern` with each `{slot}` filled.
fn fill(rng: &mut Rng, pattern: &str, text: &mut String) {
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (slot, tail) = after.split_once('}').unwrap_or((after, ""));
        match slot {
            "noun" => text.push_str(rng.pick(NOUNS)),
            "verb" => text.push_str(rng.pick(VERBS)),
            "adjective" => text.push_str(rng.pick(ADJECTIVES)),
            "state" => text.push_str(rng.pick(STATES)),
            "product" => text.push_str(rng.pick(PRODUCTS)),
            "city" => text.push_str(rng.pick(CITIES)),
            "day" => text.push_str(rng.pick(DAYS)),
            "code" => text.push_str(&format!("A-{:06}", rng.below(1_000_000))),
            "money" => text.push_str(&format!("{}.{:02} EUR", rng.below(500), rng.below(100))),
            "count" => text.push_str(&(2 + rng.below(12)).to_string()),
            _ => text.push_str(&rng.below(100_000).to_string()),
        }
        rest = tail;
    }
    text.push_str(rest);
}
