//! Files: locks between processes, whole writes, free space, scratch folders.

use std::ffi::CString;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use crate::failure::{bad_input, Code, Failure, Outcome};
use crate::logging;
use crate::process::shown;

/// A lock that the kernel drops with the process. The file stays: removing it would let two hold it.
pub struct Lock(#[allow(dead_code, reason = "held open for the lock on it")] File);

impl Lock {
    /// Waits for the lock, and says so when it has to.
    pub fn wait(path: &Path, what: &str) -> Outcome<Lock> {
        let file = open_lock(path)?;
        let failed = |why: io::Error| Failure::of_io(path.display(), &why);
        if !lock_now(&file, libc::LOCK_EX).map_err(failed)? {
            logging::info(&format!("another process is at {what}; waiting"), json!({"lock": shown(path)}));
            lock(&file, libc::LOCK_EX).map_err(failed)?;
        }
        Ok(Lock(file))
    }

    /// The lock if it is free.
    pub fn try_now(path: &Path) -> Outcome<Option<Lock>> {
        let file = open_lock(path)?;
        let free = lock_now(&file, libc::LOCK_EX).map_err(|why| Failure::of_io(path.display(), &why))?;
        Ok(free.then_some(Lock(file)))
    }
}

fn open_lock(path: &Path) -> Outcome<File> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    open.map_err(|why| Failure::of_io(path.display(), &why))
}

/// Waits for a lock (`LOCK_EX`, `LOCK_SH`). An error is no interrupted call: a file system may have no locks at all.
pub fn lock(file: &File, operation: i32) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open as long as `file` is.
        if unsafe { libc::flock(file.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let why = io::Error::last_os_error();
        if why.kind() != ErrorKind::Interrupted {
            return Err(why);
        }
    }
}

/// Whether the lock was free; then it is had.
fn lock_now(file: &File, operation: i32) -> io::Result<bool> {
    match lock(file, operation | libc::LOCK_NB) {
        Err(why) if why.kind() == ErrorKind::WouldBlock => Ok(false),
        done => done.map(|()| true),
    }
}

/// Keeps other tasks' processes off a sector's cache folder or unsealed file until this one ends: whoever changes it alone
/// (`LOCK_EX`), whoever reads it together (`LOCK_SH`). A cancelled task's process may live longer than its caller thinks.
///
/// Where the file system has no locks the work goes on without.
pub fn claim(file: &File, path: &Path, operation: i32) {
    if matches!(lock_now(file, operation), Ok(false)) {
        let message = format!("{}: another task is at work on it; waiting for its end", path.display());
        logging::warn(&message, json!({}));
        let _ = lock(file, operation);
    }
}

/// `claim` of a folder.
pub fn claim_folder(path: &Path, operation: i32) -> Outcome<()> {
    let folder = File::open(path).map_err(|why| Failure::of_io(path.display(), &why))?;
    claim(&folder, path, operation);
    std::mem::forget(folder);
    Ok(())
}

/// Bad input where a sector's file is there and neither a file nor a link to one.
pub fn check_sector_file(what: &str, path: &Path) -> Outcome<()> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            bad_input(format!("{what} {}: is {}, not a sector's file", path.display(), kind_of(found.file_type())))
        }
        _ => Ok(()),
    }
}

pub fn make_folder(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|why| Failure::of_io(path.display(), &why))
}

/// Bad input unless `path` is a plain file or free, in a folder that is there: a rename would put a file in the place of
/// a device, and a link's owner meant another place than the link's.
pub fn check_output(what: &str, path: &Path) -> Outcome<()> {
    let shown = format!("{what} {}", path.display());
    let name_one = "name a plain file, or one that is not there yet";
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return bad_input(format!("{shown}: is a folder; {name_one}"));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(found) => bad_input(format!("{shown}: is {}; {name_one}", kind_of(found.file_type()))),
        Err(why) if why.kind() == ErrorKind::NotFound => match path.parent().map(fs::metadata) {
            Some(Ok(folder)) if folder.is_dir() => Ok(()),
            _ => bad_input(format!("{shown}: its folder is not there; make it first")),
        },
        Err(why) => bad_input(format!("{shown}: {why}")),
    }
}

fn kind_of(found: FileType) -> &'static str {
    match found {
        _ if found.is_symlink() => "a symbolic link",
        _ if found.is_dir() => "a folder",
        _ if found.is_fifo() => "a named pipe",
        _ if found.is_socket() => "a socket",
        _ => "a device",
    }
}

/// `write_whole` for a file that the caller named.
pub fn write_output(what: &str, path: &Path, bytes: &[u8]) -> Outcome<()> {
    check_output(what, path)?;
    write_whole(path, bytes)
}

/// Writes a file so that its name never stands for half of it, and makes it last.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        // A killed process that had this number may have left one.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|why| {
        let _ = fs::remove_file(&temporary);
        Failure::of_io(path.display(), &why)
    })?;
    sync_folder_of(path);
    Ok(())
}

/// The file beside `path` that becomes it when it is whole, empty and this process's alone.
///
/// What a killed process left of one is begun anew; with two at once, one's rename would give the other's half its name.
pub fn part_of(path: &Path) -> Outcome<(PathBuf, File)> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let failed = |why: io::Error| Failure::of_io(part.display(), &why);
    loop {
        check_output("the file", &part)?;
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(false).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = open.open(&part).map_err(failed)?;
        if !lock_now(&file, libc::LOCK_EX).map_err(failed)? {
            return Err(Failure::new(Code::Failed, format!("{}: another process is writing it", part.display())));
        }
        // Whoever held the lock may have renamed the file meanwhile.
        if is_at(&file, &part) {
            file.set_len(0).map_err(failed)?;
            return Ok((part, file));
        }
    }
}

/// Whether the open file is the one that has this name.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// Makes a rename last. Not every file system can; then the file is there or not, but never half.
pub fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
}

/// Refuses to begin what cannot be finished: bytes that will be written below each folder, summed by disk.
pub fn need(wanted: &[(&Path, u64)]) -> Outcome<()> {
    let mut disks: Vec<(u64, &Path, u64)> = Vec::new();
    for (path, bytes) in wanted {
        let device = fs::metadata(path).map_err(|why| Failure::of_io(path.display(), &why))?.dev();
        match disks.iter_mut().find(|(known, ..)| *known == device) {
            Some((.., sum)) => *sum += bytes,
            None => disks.push((device, path, *bytes)),
        }
    }
    for (_, path, bytes) in disks {
        let free = free(path)?;
        if free < bytes {
            let message = format!("{}: needs {bytes} bytes, {free} are free", path.display());
            return Err(Failure::new(Code::NoSpace, message));
        }
    }
    Ok(())
}

fn free(path: &Path) -> Outcome<u64> {
    let name = CString::new(path.as_os_str().as_bytes())
        .or_else(|_| bad_input(format!("{}: a path with a zero byte", path.display())))?;
    // SAFETY: the name ends in zero and statvfs fills the struct that it is given.
    let (done, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(name.as_ptr(), &mut stat), stat)
    };
    if done != 0 {
        return Err(Failure::of_io(path.display(), &io::Error::last_os_error()));
    }
    Ok(stat.f_bavail * stat.f_frsize)
}

static SCRATCH: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
const SCRATCH_PREFIX: &str = "lotus-proofs-scratch-";

/// A private folder below `parent` that goes when the process ends.
///
/// One killed in the middle leaves its folder; the next to come here finds the lock free and removes it.
pub fn scratch(parent: &Path) -> Outcome<PathBuf> {
    make_folder(parent)?;
    sweep(parent);
    // The lock comes before the folder, so that no folder is ever seen without it.
    let folder = loop {
        let name = format!("{SCRATCH_PREFIX}{}-{:x}", std::process::id(), rand::random::<u32>());
        let lock_path = parent.join(format!("{name}.lock"));
        let Some(lock) = Lock::try_now(&lock_path)? else { continue };
        // One who swept may have had it first, and removed it.
        if is_at(&lock.0, &lock_path) {
            std::mem::forget(lock);
            break parent.join(name);
        }
    };
    fs::create_dir(&folder).map_err(|why| Failure::of_io(folder.display(), &why))?;
    SCRATCH.lock().expect("not poisoned").push(folder.clone());
    Ok(folder)
}

/// Removes this process's scratch folders.
pub fn drop_scratch() {
    let folders = std::mem::take(&mut *SCRATCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    for folder in folders {
        remove_scratch(&folder);
    }
}

fn remove_scratch(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let _ = fs::remove_file(folder.with_extension("lock"));
}

fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(SCRATCH_PREFIX)) {
            continue;
        }
        // A folder or its lock: of one killed at its beginning or end there is only that.
        let folder = entry.path().with_extension("");
        if let Ok(Some(_held)) = Lock::try_now(&folder.with_extension("lock")) {
            logging::info("removing what a killed process left", json!({"folder": shown(&folder)}));
            remove_scratch(&folder);
        }
    }
}

/// Removes a file that may not be there.
pub fn remove_if_there(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => Err(Failure::of_io(path.display(), &why)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_cannot_be_had_is_an_error_and_no_endless_wait() {
        let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
        assert_eq!(lock(&place, libc::LOCK_EX).unwrap_err().raw_os_error(), Some(libc::EBADF));
        // And no reason not to work: a sector's files may lie where there are no locks.
        claim(&place, Path::new("/"), libc::LOCK_EX);
    }
}
