//! Lotus's unsealed file (`storage/sealer/partialfile`): padded data, then which of it is there.
//!
//! Sector-size bytes of padded data, an RLE+ field of the padded bytes that are written, the field's length as
//! four bytes little endian. A file of exactly the sector's size counts as written throughout.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::failure::{bad_input, Failure, Outcome};
use crate::rle::{self, Ranges};

/// More than any field of 64GiB in pieces of 128 bytes; guards the reading of a broken length.
const LONGEST_FIELD: u64 = 64 << 20;

/// A list's bytes up to which one is looked for in the place of another.
const LONGEST_TORN: u64 = 1 << 16;

pub struct PartialFile {
    path: PathBuf,
    file: File,
    size: u64,
    written: Ranges,
}

impl PartialFile {
    /// A new file in which nothing is written; replaces what stood there.
    pub fn create(path: &Path, size: u64) -> Outcome<Self> {
        let file = claimed(path, true)?;
        file.set_len(0).map_err(|why| Failure::of_io(path.display(), &why))?;
        Self::begin(file, path, size)
    }

    /// The file that is there, or a new one. Of two processes that come here at once, the second goes on with the first's.
    pub fn open_or_create(path: &Path, size: u64) -> Outcome<Self> {
        let file = claimed(path, true)?;
        match file.metadata().map_err(|why| Failure::of_io(path.display(), &why))?.len() {
            0 => Self::begin(file, path, size),
            _ => Self::read(file, path, size),
        }
    }

    /// Opens a file of a sector of `size` bytes; bad input when it is none.
    pub fn open(path: &Path, size: u64) -> Outcome<Self> {
        Self::read(claimed(path, false)?, path, size)
    }

    fn begin(file: File, path: &Path, size: u64) -> Outcome<Self> {
        let mut partial = PartialFile { path: path.to_path_buf(), file, size, written: Ranges::new() };
        partial.save()?;
        Ok(partial)
    }

    fn read(mut file: File, path: &Path, size: u64) -> Outcome<Self> {
        let written = read_field(path, &mut file, size)?;
        Ok(PartialFile { path: path.to_path_buf(), file, size, written })
    }

    /// Whether these padded bytes are written.
    pub fn has(&self, start: u64, end: u64) -> bool {
        rle::covers(&self.written, start, end)
    }

    /// A handle on the data from padded byte `start` on.
    pub fn writer(&self, start: u64) -> Outcome<File> {
        let handle = self.file.try_clone().and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        });
        handle.map_err(|why| Failure::of_io(self.path.display(), &why))
    }

    /// Makes written data last, then says that it is there.
    pub fn mark(&mut self, start: u64, end: u64) -> Outcome<()> {
        self.file.sync_data().map_err(|why| Failure::of_io(self.path.display(), &why))?;
        rle::add(&mut self.written, start, end);
        self.save()
    }

    /// In one call, so that a kill leaves the list from before or this one. Behind a shorter one the other's end stays until
    /// the next call; `shorter_list` knows it.
    fn save(&mut self) -> Outcome<()> {
        let mut field = rle::encode(&self.written);
        field.extend((field.len() as u32).to_le_bytes());
        let save = || -> std::io::Result<()> {
            let end = self.size + field.len() as u64;
            let before = self.file.metadata()?.len();
            self.file.write_all_at(&field, self.size)?;
            if before > end {
                self.file.set_len(end)?;
            }
            self.file.sync_all()
        };
        save().map_err(|why| Failure::of_io(self.path.display(), &why))
    }
}

/// The file to read and write, as this task's alone; where it is not there, a new one or bad input.
fn claimed(path: &Path, create: bool) -> Outcome<File> {
    disk::check_sector_file("Unsealed", path)?;
    let open = OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path);
    let file = match open {
        Err(why) if create => return Err(Failure::of_io(path.display(), &why)),
        open => open.or_else(|why| bad_input(format!("Unsealed {}: {why}", path.display())))?,
    };
    disk::claim(&file, path, libc::LOCK_EX);
    Ok(file)
}

/// Checks that a file is a whole unsealed sector, without asking for the right to write, and claims it for reading.
pub fn check_whole(path: &Path, size: u64) -> Outcome<()> {
    disk::check_sector_file("Unsealed", path)?;
    let open = File::open(path);
    let mut file = open.or_else(|why| bad_input(format!("Unsealed {}: {why}", path.display())))?;
    disk::claim(&file, path, libc::LOCK_SH);
    let written = read_field(path, &mut file, size)?;
    std::mem::forget(file);
    if rle::covers(&written, 0, size) {
        return Ok(());
    }
    bad_input(format!("Unsealed {}: not all of its {size} bytes are written", path.display()))
}

fn read_field(path: &Path, file: &mut File, size: u64) -> Outcome<Ranges> {
    let broken = |why: String| bad_input(format!("Unsealed {}: {why}", path.display()));
    let length = file.metadata().map_err(|why| Failure::of_io(path.display(), &why))?.len();
    if length == size {
        return Ok(vec![(0, size)]);
    }
    if length < size + 4 {
        return broken(format!("{length} bytes; the data alone has {size}"));
    }
    let mut tail = [0; 4];
    file.read_exact_at(&mut tail, length - 4).map_err(|why| Failure::of_io(path.display(), &why))?;
    let field_length = u64::from(u32::from_le_bytes(tail));
    let torn = size + field_length + 4 != length;
    if torn && length - size <= LONGEST_TORN {
        let mut list = vec![0; (length - size) as usize];
        file.read_exact_at(&mut list, size).map_err(|why| Failure::of_io(path.display(), &why))?;
        if let Some(written) = shorter_list(&list).filter(|written| within(written, size)) {
            return Ok(written);
        }
    }
    if torn || field_length > LONGEST_FIELD {
        return broken(format!("{length} bytes; its end speaks of {}", size + field_length + 4));
    }
    let mut field = vec![0; field_length as usize];
    file.read_exact_at(&mut field, size).map_err(|why| Failure::of_io(path.display(), &why))?;
    match rle::decode(&field) {
        Some(written) if within(&written, size) => Ok(written),
        _ => broken("the list of what is written cannot be read".into()),
    }
}

fn within(written: &Ranges, size: u64) -> bool {
    written.last().is_none_or(|(_, end)| *end <= size)
}

/// A list that took a longer one's place, with the end of that behind it: who wrote it was killed before cutting it off.
fn shorter_list(list: &[u8]) -> Option<Ranges> {
    (1..list.len().saturating_sub(4)).find_map(|length| {
        let said = u32::from_le_bytes(list[length..length + 4].try_into().ok()?);
        (said as usize == length).then(|| rle::decode(&list[..length])).flatten()
    })
}

/// Takes unpadded bytes, writes them padded: whole blocks of 127 become 128.
pub struct PaddedWriter<W: Write> {
    inner: W,
    block: Vec<u8>,
}

const BLOCK: usize = 127 * 8192;

impl<W: Write> PaddedWriter<W> {
    pub fn new(inner: W) -> Self {
        PaddedWriter { inner, block: Vec::with_capacity(BLOCK) }
    }

    /// Writes what is left; the total must be a multiple of 127.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.spill()?;
        self.inner.flush()
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let mut padded = Vec::with_capacity(self.block.len() / 127 * 128);
        fr32::Fr32Reader::new(self.block.as_slice()).read_to_end(&mut padded)?;
        self.inner.write_all(&padded)?;
        self.block.clear();
        Ok(())
    }
}

impl<W: Write> Write for PaddedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.spill()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
