//! Log lines on standard error, ours and the library's: one line each, text or JSON (Lotus's members).

use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{json, Map, Value};

use crate::cli::LogStyle;

static STYLE: OnceLock<LogStyle> = OnceLock::new();
/// Our own lines' logger name; the library's have its crates' names.
pub const NAME: &str = "proofs";

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let logger = record.target().split("::").next().unwrap_or(NAME);
        line(record.level(), logger, &record.args().to_string(), Map::new());
    }

    fn flush(&self) {}
}

/// Starts logging. The level comes from `RUST_LOG` (one word: error … trace), else info.
pub fn start(style: LogStyle) {
    let _ = STYLE.set(style);
    let level = std::env::var("RUST_LOG").ok().and_then(|word| word.parse().ok()).unwrap_or(LevelFilter::Info);
    if log::set_logger(&StandardError).is_ok() {
        log::set_max_level(level);
    }
}

/// A line of our own with members beside its text.
pub fn info(message: &str, members: Value) {
    own(Level::Info, message, members);
}

pub fn warn(message: &str, members: Value) {
    own(Level::Warn, message, members);
}

/// The last line of a run that failed.
pub fn error(message: &str, members: Value) {
    own(Level::Error, message, members);
}

fn own(level: Level, message: &str, members: Value) {
    if level <= log::max_level() || level == Level::Error {
        let members = match members {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        line(level, NAME, message, members);
    }
}

fn line(level: Level, logger: &str, message: &str, members: Map<String, Value>) {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = match STYLE.get() {
        Some(LogStyle::Json) => {
            let mut whole = json!({
                "level": level.as_str().to_lowercase(), "ts": now(), "logger": logger, "msg": message,
            });
            whole.as_object_mut().expect("an object").extend(members);
            whole.to_string()
        }
        _ => {
            let members: String = members.iter().map(|(name, value)| format!("\t{name}={value}")).collect();
            format!("{}\t{}\t{logger}\t{}{members}", now(), level.as_str(), printable(&message))
        }
    };
    // Whoever read standard error may be gone; that is no reason to end the work.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Control characters written out: a path may hold what moves a terminal's cursor.
pub fn printable(text: &str) -> String {
    let written = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(written).collect()
}

/// The time in UTC with milliseconds.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timestamp(since.as_secs(), since.subsec_millis())
}

fn timestamp(seconds: u64, millis: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date, counted in eras of 400 years that begin on 1 March.
    let shifted = days as i64 + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn dates() {
        assert_eq!(timestamp(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(1_709_164_800, 5), "2024-02-29T00:00:00.005Z");
        assert_eq!(timestamp(1_795_582_799, 999), "2026-11-25T04:59:59.999Z");
    }
}
