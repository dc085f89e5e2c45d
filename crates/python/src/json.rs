//! JSON bytes as Python objects, in one pass and without a decoded copy.
//!
//! Numbers keep their kind: `150` is an `int` of any size, `150.0` a `float`.

use std::fmt;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString};

/// Arrays and objects within one another at most; the server sends no deeper ones than it takes.
const DEPTH: usize = 512;

/// Why bytes are no JSON.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What was expected, and where.
    Syntax(&'static str, usize),
    /// Python would not have it.
    Python(PyErr),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(what, at) => write!(f, "no JSON: {what} expected at byte {at}"),
            Self::Python(error) => error.fmt(f),
        }
    }
}

impl From<PyErr> for Trouble {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// Names of fields that are remembered: a multiple of those that the API has. Two at one place cost time and nothing else.
const NAMES: usize = 256;
/// Longer names are not remembered.
const NAME_BYTES: usize = 64;

type Result<T> = std::result::Result<T, Trouble>;

/// Reads one JSON value and nothing after it.
pub(crate) fn read(py: Python<'_>, bytes: &[u8]) -> Result<Py<PyAny>> {
    let text = std::str::from_utf8(bytes).map_err(|e| Trouble::Syntax("UTF-8", e.valid_up_to()))?;
    let mut reader = Reader { py, text, at: 0, names: Names::take() };
    let value = reader.whole();
    reader.names.rest();
    value.map(Bound::unbind)
}

struct Reader<'py, 'a> {
    py: Python<'py>,
    text: &'a str,
    at: usize,
    names: Box<Names>,
}

impl<'py, 'a> Reader<'py, 'a> {
    fn expected(&self, what: &'static str) -> Trouble {
        Trouble::Syntax(what, self.at)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<()> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    /// Whether a list goes on (`,`) or ends.
    fn goes_on(&mut self, end: u8) -> Result<bool> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.expected("a comma or the end of a list")),
        }
    }

    /// One value and nothing after it.
    fn whole(&mut self) -> Result<Bound<'py, PyAny>> {
        let value = self.value(0)?;
        self.space();
        if self.at == self.text.len() { Ok(value) } else { Err(self.expected("the end")) }
    }

    fn value(&mut self, depth: usize) -> Result<Bound<'py, PyAny>> {
        if depth > DEPTH {
            return Err(self.expected("less depth"));
        }
        self.space();
        match self.peek() {
            Some(b'"') => Ok(match self.string()? {
                Text::Plain(text) => PyString::new(self.py, text),
                Text::Made(text) => PyString::new(self.py, &text),
            }
            .into_any()),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", true.into_pyobject(self.py).map(|value| value.to_owned().into_any())),
            Some(b'f') => self.word("false", false.into_pyobject(self.py).map(|value| value.to_owned().into_any())),
            Some(b'n') => {
                let none = self.py.None().into_bound(self.py);
                self.word("null", Ok::<_, std::convert::Infallible>(none))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.expected("a value")),
        }
    }

    fn word<T>(&mut self, word: &'static str, value: std::result::Result<T, std::convert::Infallible>) -> Result<T> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(value.unwrap_or_else(|never| match never {}))
    }

    fn object(&mut self, depth: usize) -> Result<Bound<'py, PyAny>> {
        self.at += 1;
        let object = PyDict::new(self.py);
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(object.into_any());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.take(b':', "a colon")?;
            let value = self.value(depth + 1)?;
            match name {
                Text::Plain(text) => {
                    let name = self.names.of(self.py, text);
                    object.set_item(name, value)?;
                }
                Text::Made(text) => object.set_item(text, value)?,
            }
            if !self.goes_on(b'}')? {
                return Ok(object.into_any());
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Bound<'py, PyAny>> {
        self.at += 1;
        let list = PyList::empty(self.py);
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(list.into_any());
        }
        loop {
            list.append(self.value(depth + 1)?)?;
            if !self.goes_on(b']')? {
                return Ok(list.into_any());
            }
        }
    }

    fn string(&mut self) -> Result<Text<'a>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        self.at += 1;
        let mut made = String::new();
        loop {
            let length =
                memchr::memchr2(b'"', b'\\', self.rest()).ok_or_else(|| self.expected("the end of a string"))?;
            let plain = self.text.get(self.at..self.at + length).unwrap_or_default();
            self.at += length;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Ok(if made.is_empty() {
                    Text::Plain(plain)
                } else {
                    made.push_str(plain);
                    Text::Made(made)
                });
            }
            made.push_str(plain);
            self.at += 1;
            made.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char> {
        let kind = self.peek().ok_or_else(|| self.expected("an escape"))?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let first = self.unit()?;
                if (0xd800..0xdc00).contains(&first) && self.rest().starts_with(b"\\u") {
                    self.at += 2;
                    let second = self.unit()?;
                    let code = 0x1_0000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00);
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                } else {
                    char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
            }
            _ => return Err(self.expected("an escape")),
        })
    }

    fn unit(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|text| u32::from_str_radix(text, 16).ok());
        let unit = unit.ok_or_else(|| self.expected("four hex digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Bound<'py, PyAny>> {
        let rest = self.rest();
        let length = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        let value = if text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) {
            PyFloat::new(self.py, text.parse().map_err(|_| self.expected("a number"))?).into_any()
        } else if let Ok(number) = text.parse::<i64>() {
            let Ok(number) = number.into_pyobject(self.py);
            number.into_any()
        } else {
            // Python has integers of any size, and people write them.
            self.py.get_type::<PyInt>().call1((text,))?
        };
        self.at += length;
        Ok(value)
    }
}

/// Names of fields as Python has them: they come again and again, and making one costs more than finding it.
///
/// Interned they would cost more, and Python may keep those for ever: an answer has names that users chose.
struct Names([Option<(Box<str>, Py<PyString>)>; NAMES]);

/// The names of the last answer, for the next one; taken out while they are in use.
static NAMES_AT_REST: Mutex<Option<Box<Names>>> = Mutex::new(None);

impl Names {
    fn take() -> Box<Self> {
        let rested = NAMES_AT_REST.lock().take();
        rested.unwrap_or_else(|| Box::new(Self([const { None }; NAMES])))
    }

    fn rest(self: Box<Self>) {
        // What was there is dropped after the lock: Python may run anything then.
        let before = NAMES_AT_REST.lock().replace(self);
        drop(before);
    }

    fn of<'py>(&mut self, py: Python<'py>, name: &str) -> Bound<'py, PyString> {
        match self.0.get_mut(Self::place(name)) {
            Some(Some((known, string))) if **known == *name => string.bind(py).clone(),
            Some(place) if name.len() <= NAME_BYTES => {
                let string = PyString::new(py, name);
                *place = Some((name.into(), string.clone().unbind()));
                string
            }
            _ => PyString::new(py, name),
        }
    }

    /// Its length and three of its letters tell nearly all of the API's names apart.
    fn place(name: &str) -> usize {
        let letter = |at: usize| name.as_bytes().get(at).copied().map_or(0, usize::from);
        let length = name.len();
        (length * 7 + letter(0) * 3 + letter(length / 2) * 31 + letter(length.saturating_sub(1)) * 31) % NAMES
    }
}

/// A string as it stands in the text, or made of its escapes.
enum Text<'a> {
    Plain(&'a str),
    Made(String),
}
