//! This process: whose child it is, where it stands, what it used, how a panic ends it.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use serde_json::{json, Value};

use crate::cli::Options;
use crate::failure::{Code, Failure};
use crate::{disk, logging};

static STARTED: OnceLock<Instant> = OnceLock::new();
static CALLED_IN: OnceLock<PathBuf> = OnceLock::new();
static RESULT: Mutex<Option<Destination>> = Mutex::new(None);

enum Destination {
    Output(File),
    Path(PathBuf),
}

/// Binds the process to its parent, takes standard output for the result alone, and leaves the caller's folder.
///
/// The library reads `rust-fil-proofs.config.toml` from its working folder and prints stack traces when asked by
/// `RUST_BACKTRACE`; neither is to depend on where and how this was started.
pub fn prepare(options: &Options) {
    STARTED.get_or_init(Instant::now);
    std::env::set_var("RUST_BACKTRACE", "0");
    std::env::set_var("RUST_LIB_BACKTRACE", "0");
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let _ = CALLED_IN.set(here);
    for name in ["FIL_PROOFS_PARAMETER_CACHE", "FIL_PROOFS_PARENT_CACHE"] {
        if let Some(value) = std::env::var_os(name) {
            std::env::set_var(name, absolute(Path::new(&value)));
        }
    }
    let unreadable = drop_unreadable_variables();
    let result = options.result.as_deref().map(absolute);
    let refused = result.as_ref().and_then(|path| disk::check_output("--result", path).err());
    let destination = match result.filter(|_| refused.is_none()) {
        Some(path) => Destination::Path(path),
        None => Destination::Output(take_standard_output()),
    };
    *RESULT.lock().expect("not poisoned") = Some(destination);
    // Nobody can put a settings file there, and it is never a disk that someone wants to unmount.
    if std::env::set_current_dir("/proc/self").is_err() {
        let _ = std::env::set_current_dir("/");
    }
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.payload().downcast_ref::<&str>().copied()).unwrap_or("no text");
        let place = panic.location().map(|at| format!(" ({}:{})", short(at.file()), at.line()));
        // At once and from any thread: a worker thread's panic must not leave the others waiting for it.
        finish(Err(Failure::of_panic(&format!("{text}{}", place.unwrap_or_default()))))
    }));
    follow_parent(options);
    if let Some(failure) = refused.or(unreadable) {
        finish(Err(failure));
    }
}

/// The library gives up where any variable is no UTF-8, `PWD` of a folder with an old name included. Those that neither it
/// nor this program reads go; the others are bad input.
fn drop_unreadable_variables() -> Option<Failure> {
    let mut refused = None;
    for (name, value) in std::env::vars_os().filter(|(name, value)| name.to_str().is_none() || value.to_str().is_none())
    {
        let shown = name.to_string_lossy();
        if shown.starts_with("FIL_PROOFS_") || shown == "TMPDIR" {
            let message = format!("{shown}={}: is no UTF-8 text; name another folder", value.to_string_lossy());
            refused = Some(Failure::new(Code::BadInput, message));
        }
        std::env::remove_var(&name);
    }
    refused
}

/// Ends with the parent: by the kernel from now on, and at once if it is gone already.
fn follow_parent(options: &Options) {
    if !options.outlive_parent {
        // SAFETY: plain system call on integers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) };
    }
    // SAFETY: no arguments, cannot fail.
    let parent = unsafe { libc::getppid() };
    if let Some(expected) = options.parent.filter(|expected| *expected != parent) {
        let message = format!("--parent {expected}: the parent is {parent}; whoever started this is gone");
        finish(Err(Failure::new(Code::BadInput, message)));
    }
}

/// Standard output as a file of our own; what a library prints goes to standard error instead.
fn take_standard_output() -> File {
    // SAFETY: descriptors 1 and 2 are open or the calls fail, which the fallback covers.
    unsafe {
        let own = libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3);
        if own < 0 {
            return File::from_raw_fd(File::open("/dev/null").map(IntoRawFd::into_raw_fd).unwrap_or(1));
        }
        libc::dup2(2, 1);
        File::from_raw_fd(own)
    }
}

/// A path as the caller meant it, from the folder in which this was started.
pub fn absolute(path: &Path) -> PathBuf {
    CALLED_IN.get().map_or_else(|| path.to_path_buf(), |folder| folder.join(path))
}

/// A path in JSON, which has no place for bytes that are no UTF-8.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Writes the result, the last log line, and ends the process.
pub fn finish(outcome: Result<Value, Failure>) -> ! {
    disk::drop_scratch();
    let (mut code, value) = match &outcome {
        Ok(value) => (0, value.clone()),
        Err(failure) => {
            let error = json!({"Kind": failure.code.kind(), "Message": failure.message});
            (failure.code as i32, json!({"Error": error}))
        }
    };
    if let Err(failure) = write_result(&value) {
        logging::error(&failure.message, json!({}));
        code = failure.code as i32;
    }
    match &outcome {
        Ok(_) => logging::info("done", usage()),
        Err(failure) => {
            logging::info("ended", usage());
            logging::error(&failure.message, json!({"kind": failure.code.kind(), "code": failure.code as i32}));
        }
    }
    // SAFETY: everything worth flushing is flushed; destructors of a broken library are not run.
    unsafe { libc::_exit(code) }
}

fn write_result(value: &Value) -> Result<(), Failure> {
    let text = format!("{value}\n");
    match RESULT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
        Some(Destination::Path(path)) => disk::write_output("--result", &path, text.as_bytes()),
        Some(Destination::Output(mut file)) => {
            file.write_all(text.as_bytes()).map_err(|why| Failure::of_io("standard output", &why))
        }
        None => Ok(()),
    }
}

/// What this process took so far: seconds of clock and of processors, and its largest resident size in bytes.
pub fn usage() -> Value {
    // SAFETY: getrusage fills the struct that it is given.
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut used);
        used
    };
    let seconds = |time: libc::timeval| rounded(time.tv_sec as f64 + time.tv_usec as f64 / 1e6);
    json!({
        "seconds": rounded(STARTED.get().map_or(0.0, |start| start.elapsed().as_secs_f64())),
        "user_seconds": seconds(used.ru_utime),
        "system_seconds": seconds(used.ru_stime),
        "max_rss": largest_resident().unwrap_or(used.ru_maxrss as u64 * 1024),
    })
}

/// The high-water mark of this program's memory. `ru_maxrss`, here or at the parent's `wait4`, starts with what the
/// parent had when it forked: a big Python process makes every small task look big.
fn largest_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// A source file without the builder's folders.
fn short(file: &str) -> &str {
    file.rsplit_once("/src/").map_or(file, |(head, _)| {
        let start = head.rfind('/').map_or(0, |slash| slash + 1);
        &file[start..]
    })
}
