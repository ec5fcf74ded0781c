//! Unseal: the data of a sealed sector, from any offset.
//!
//! The library writes labels over the data tree in the cache folder that it is given, and answers an offset
//! that is no multiple of 127 with wrong bytes. So it gets a scratch folder, and whole blocks of 127.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use filecoin_proofs_api::seal::unseal_range;
use filecoin_proofs_api::{Commitment, RegisteredSealProof, Ticket, UnpaddedByteIndex, UnpaddedBytesAmount};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::cid::Kind;
use crate::failure::{bad_input, Code, Failure, Outcome};
use crate::partial::{PaddedWriter, PartialFile};
use crate::process::absolute;
use crate::tasks::{existing_replica, path, read};
use crate::wire::{padded, sector_size, unpadded, Bytes, Link, SectorPaths, SectorRef};
use crate::{disk, parents};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    sector: SectorRef,
    paths: SectorPaths,
    /// Unpadded bytes, both.
    offset: u64,
    size: u64,
    ticket: Bytes,
    #[serde(rename = "CommD")]
    comm_d: Link,
    /// A new file for the bytes as they went in; without it they go, padded, into Paths.Unsealed.
    output: Option<PathBuf>,
    /// A folder with room for the sector once more (default: the system's for temporary files).
    scratch: Option<PathBuf>,
}

pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = read(request)?;
    let proof = request.sector.proof()?;
    let size = sector_size(proof);
    let end = request.offset.checked_add(request.size).filter(|end| *end <= unpadded(size));
    let Some(end) = end.filter(|_| request.size > 0) else {
        let message = format!("Offset {} and Size {}", request.offset, request.size);
        return bad_input(format!("{message}: outside of the sector's {} bytes", unpadded(size)));
    };
    let output = request.output.map(|file| absolute(&file));
    if let Some(file) = &output {
        disk::check_output("Output", file)?;
    }
    let sealed = existing_replica(request.paths.sealed.as_ref(), size)?;
    let work = Work {
        proof,
        sector: request.sector,
        ticket: request.ticket.randomness("Ticket")?,
        comm_d: request.comm_d.commitment(Kind::Unsealed, "CommD")?,
        sealed,
        scratch: request.scratch.map_or_else(std::env::temp_dir, |folder| absolute(&folder)),
    };
    match output {
        Some(file) => work.write_file(file, request.offset, end)?,
        None => {
            let file = path("Unsealed", request.paths.unsealed.as_ref())?;
            work.write_unsealed(file, request.offset, end)?;
        }
    }
    Ok(json!({"Offset": request.offset, "Size": request.size}))
}

struct Work {
    proof: RegisteredSealProof,
    sector: SectorRef,
    ticket: Ticket,
    comm_d: Commitment,
    sealed: PathBuf,
    scratch: PathBuf,
}

impl Work {
    /// The bytes as they are into a file that has its name only once it is whole.
    fn write_file(&self, path: PathBuf, start: u64, end: u64) -> Outcome<()> {
        let (part, file) = disk::part_of(&path)?;
        let failed = |why: io::Error| Failure::of_io(part.display(), &why);
        // The lock is the open file's; it is held until the part is renamed or gone.
        let _held = file.try_clone().map_err(failed)?;
        let written = self.unseal(start, end, BufWriter::new(file)).and_then(|file| {
            let file = file.into_inner().map_err(|why| failed(why.into_error()))?;
            file.sync_all().map_err(failed)?;
            disk::check_output("Output", &path)?;
            fs::rename(&part, &path).map_err(failed)
        });
        match written {
            Ok(()) => disk::sync_folder_of(&path),
            Err(_) => drop(fs::remove_file(&part)),
        }
        written
    }

    /// The bytes, padded, into Lotus's unsealed file, which is made if it is not there.
    fn write_unsealed(&self, path: PathBuf, start: u64, end: u64) -> Outcome<()> {
        if start % 127 != 0 || end % 127 != 0 {
            return bad_input(format!("Offset {start} and Size {}: into Paths.Unsealed go blocks of 127", end - start));
        }
        let size = sector_size(self.proof);
        let mut file = PartialFile::open_or_create(&path, size)?;
        let padding = PaddedWriter::new(file.writer(padded(start))?);
        let padding = self.unseal(start, end, padding)?;
        padding.finish().map_err(|why| Failure::of_io(path.display(), &why))?;
        file.mark(padded(start), padded(end))
    }

    fn unseal<W: Write>(&self, start: u64, end: u64, output: W) -> Outcome<W> {
        let size = sector_size(self.proof);
        let scratch = disk::scratch(&self.scratch)?;
        disk::need(&[(&scratch, size)])?;
        parents::ensure(self.proof)?;
        let sealed = File::open(&self.sealed).map_err(|why| Failure::of_io(self.sealed.display(), &why))?;
        let from = start / 127 * 127;
        let to = end.div_ceil(127) * 127;
        let mut window = Window { inner: output, skip: start - from, left: end - start, failed: None };
        let done = unseal_range(
            self.proof,
            &scratch,
            sealed,
            &mut window,
            self.sector.prover(),
            self.sector.number(),
            self.comm_d,
            self.ticket,
            UnpaddedByteIndex(from),
            UnpaddedBytesAmount(to - from),
        );
        if let Some(why) = window.failed {
            return Err(Failure::of_io("writing what was unsealed", &why));
        }
        done.map_err(|why| Failure::of_library("unseal", &why))?;
        if window.left > 0 {
            return Err(Failure::new(Code::Failed, format!("unseal: the library gave {} bytes too few", window.left)));
        }
        Ok(window.inner)
    }
}

/// Lets through what lies between the blocks' beginning and the range's end.
struct Window<W> {
    inner: W,
    skip: u64,
    left: u64,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Window<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = self.skip.min(bytes.len() as u64);
        let rest = &bytes[skipped as usize..];
        let kept = self.left.min(rest.len() as u64);
        if let Err(why) = self.inner.write_all(&rest[..kept as usize]) {
            let kind = why.kind();
            self.failed = Some(why);
            return Err(kind.into());
        }
        self.skip -= skipped;
        self.left -= kept;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
