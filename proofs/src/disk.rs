//! Files: locks between processes, whole writes, free space, scratch folders.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use crate::failure::{bad_input, Code, Failure, Outcome};
use crate::logging;

/// A lock that the kernel drops with the process. The file stays: removing it would let two hold it.
pub struct Lock(#[allow(dead_code, reason = "held open for the lock on it")] File);

impl Lock {
    /// Waits for the lock, and says so when it has to.
    pub fn wait(path: &Path, what: &str) -> Outcome<Lock> {
        let file = open_lock(path)?;
        if !flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
            logging::info(&format!("another process is at {what}; waiting"), json!({"lock": path}));
            while !flock(&file, libc::LOCK_EX) {
                // Only an interrupted call comes back without the lock.
            }
        }
        Ok(Lock(file))
    }

    /// The lock if it is free.
    pub fn try_now(path: &Path) -> Outcome<Option<Lock>> {
        let file = open_lock(path)?;
        Ok(flock(&file, libc::LOCK_EX | libc::LOCK_NB).then_some(Lock(file)))
    }
}

fn open_lock(path: &Path) -> Outcome<File> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    open.map_err(|why| Failure::of_io(path.display(), &why))
}

fn flock(file: &File, operation: i32) -> bool {
    // SAFETY: the descriptor is open as long as `file` is.
    unsafe { libc::flock(file.as_raw_fd(), operation) == 0 }
}

pub fn make_folder(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|why| Failure::of_io(path.display(), &why))
}

/// Writes a file so that its name never stands for half of it, and makes it last.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
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
        return Err(Failure::of_io(path.display(), &std::io::Error::last_os_error()));
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
    let name = format!("{SCRATCH_PREFIX}{}-{:x}", std::process::id(), rand::random::<u32>());
    let lock_path = parent.join(format!("{name}.lock"));
    // The lock comes before the folder, so that no folder is ever seen without it.
    let lock = Lock::try_now(&lock_path)?
        .ok_or_else(|| Failure::new(Code::Failed, format!("{}: taken by another process", lock_path.display())))?;
    std::mem::forget(lock);
    let folder = parent.join(name);
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
        let ours = name.to_str().is_some_and(|name| name.starts_with(SCRATCH_PREFIX) && !name.ends_with(".lock"));
        if ours && matches!(Lock::try_now(&entry.path().with_extension("lock")), Ok(Some(_))) {
            logging::info("removing what a killed process left", json!({"folder": entry.path()}));
            remove_scratch(&entry.path());
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
