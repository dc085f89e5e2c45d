//! Where an address is, from `.mmdb` files of the operator (contract: open-questions row 77).
//!
//! Two kinds of record are in the wild: nested ones as MaxMind and GeoLite2 write them, and flat ones
//! as DB-IP's. A flat record may lack its time zone; then the coordinates tell it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::Reader;

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
    readers: Vec<Reader<Vec<u8>>>,
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

fn open_file(file: &Path) -> Result<Reader<Vec<u8>>> {
    Reader::open_readfile(file)
        .map_err(|e| Error::Open(format!("geolocation file {} cannot be used: {e}", file.display())))
}

fn locate_in(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<Place> {
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
