//! AddPiece and DataCid.
//!
//! The library pads a source that ends early with zeros and knows nothing of the sector's capacity; both are
//! looked after here. A piece counts as written only once it is on the disk whole.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use filecoin_proofs_api::seal::add_piece;
use filecoin_proofs_api::{RegisteredSealProof, UnpaddedBytesAmount};
use serde::Deserialize;
use serde_json::Value;

use crate::cid::Kind;
use crate::disk;
use crate::failure::{bad_input, Failure, Outcome};
use crate::partial::PartialFile;
use crate::process::absolute;
use crate::tasks::{path, read};
use crate::wire::{padded, sector_size, Link, PieceInfo, SectorPaths, SectorRef};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Add {
    sector: SectorRef,
    paths: SectorPaths,
    /// Unpadded sizes of the pieces before this one.
    piece_sizes: Option<Vec<u64>>,
    /// Unpadded.
    new_piece_size: u64,
    piece_data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Cid {
    piece_size: u64,
    piece_data: Data,
}

/// Where a piece's bytes come from: a file, standard input (`-`), or Lotus's null reader (zeros).
#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Path(PathBuf),
    Null {
        #[serde(rename = "Type")]
        kind: String,
        #[serde(rename = "Info")]
        info: Option<String>,
    },
}

pub fn add(request: Value) -> Outcome<Value> {
    let request: Add = read(request)?;
    let proof = request.sector.proof()?;
    let size = sector_size(proof);
    let before = request.piece_sizes.unwrap_or_default();
    for existing in &before {
        check_size("PieceSizes", *existing)?;
    }
    check_size("NewPieceSize", request.new_piece_size)?;
    let start: u64 = before.iter().map(|piece| padded(*piece)).sum();
    let end = start + padded(request.new_piece_size);
    if end > size {
        let message = format!("NewPieceSize {}: {end} of {size} padded bytes", request.new_piece_size);
        return bad_input(format!("{message} would be used; the sector is too small"));
    }
    if start % (end - start) != 0 {
        let message = format!("NewPieceSize {}: would begin at padded byte {start}", request.new_piece_size);
        return bad_input(format!("{message}, no multiple of its size; fill up with smaller pieces first"));
    }
    let source = open(&request.piece_data, request.new_piece_size)?;

    let file = path("Unsealed", request.paths.unsealed.as_ref())?;
    let mut unsealed = if before.is_empty() {
        if let Some(folder) = file.parent() {
            disk::need(&[(folder, end)])?;
        }
        PartialFile::create(&file, size)?
    } else {
        PartialFile::open(&file, size)?
    };
    if !unsealed.has(0, start) {
        return bad_input(format!("PieceSizes: {} lacks some of them", file.display()));
    }
    let target = Target { inner: unsealed.writer(start)?, failed: None };
    let piece = copy(proof, source, target, request.new_piece_size)?;
    unsealed.mark(start, end)?;
    Ok(serde_json::to_value(piece).expect("plain data"))
}

pub fn cid(request: Value) -> Outcome<Value> {
    let request: Cid = read(request)?;
    check_size("PieceSize", request.piece_size)?;
    let source = open(&request.piece_data, request.piece_size)?;
    let target = Target { inner: io::sink(), failed: None };
    // The commitment does not depend on the sector.
    let piece = copy(RegisteredSealProof::StackedDrg2KiBV1_1, source, target, request.piece_size)?;
    Ok(serde_json::to_value(piece).expect("plain data"))
}

/// The largest sector's data; a larger piece is in no sector.
const LARGEST: u64 = (64 << 30) / 128 * 127;

fn check_size(what: &str, size: u64) -> Outcome<()> {
    if size > LARGEST {
        return bad_input(format!("{what}: {size} bytes, more than the largest sector's {LARGEST}"));
    }
    if size >= 127 && size % 127 == 0 && (size / 127).is_power_of_two() {
        return Ok(());
    }
    bad_input(format!("{what}: {size} is not 127 bytes times a power of two"))
}

fn open(data: &Data, size: u64) -> Outcome<Box<dyn Read>> {
    match data {
        Data::Path(path) if path.as_os_str() == "-" => Ok(Box::new(io::stdin())),
        Data::Path(path) => {
            let path = absolute(path);
            let file = File::open(&path);
            Ok(Box::new(file.or_else(|why| bad_input(format!("PieceData {}: {why}", path.display())))?))
        }
        Data::Null { kind, info } if kind == "null" => {
            if info.as_ref().is_some_and(|info| *info != size.to_string()) {
                return bad_input(format!("PieceData: {} zeros for {size} bytes", info.as_deref().unwrap_or("")));
            }
            Ok(Box::new(io::repeat(0).take(size)))
        }
        Data::Null { kind, .. } => bad_input(format!("PieceData: Type {kind}; a path, \"-\" or Type null")),
    }
}

/// Exactly `size` bytes through the library; anything else is an error.
fn copy<W>(proof: RegisteredSealProof, source: Box<dyn Read>, mut target: Target<W>, size: u64) -> Outcome<PieceInfo>
where
    Target<W>: Read + Write + Seek,
{
    let mut source = Source { inner: BufReader::with_capacity(1 << 20, source), left: size, failed: None };
    let added = add_piece(proof, &mut source, &mut target, UnpaddedBytesAmount(size), &[]);
    // What went wrong underneath says more than what the library makes of it.
    if let Some(why) = source.failed.take() {
        return Err(Failure::of_io("PieceData", &why));
    }
    if let Some(why) = target.failed.take() {
        return Err(Failure::of_io("Paths.Unsealed", &why));
    }
    if source.left > 0 {
        return bad_input(format!("PieceData ended after {} of {size} bytes", size - source.left));
    }
    let (piece, _) = added.map_err(|why| Failure::of_library("addpiece", &why))?;
    match source.inner.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return bad_input(format!("PieceData goes on after {size} bytes")),
        Err(why) => return Err(Failure::of_io("PieceData", &why)),
    }
    Ok(PieceInfo { size: padded(size), piece_cid: Link::new(Kind::Unsealed, &piece.commitment) })
}

struct Source<R> {
    inner: R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        match self.inner.read(&mut buffer[..wanted]) {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(why) => {
                let kind = why.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.failed = Some(why);
                }
                Err(kind.into())
            }
        }
    }
}

/// The library writes through a buffer whose last write may fail unnoticed; it is noticed here.
struct Target<W> {
    inner: W,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Target<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).map_err(|why| {
            let kind = why.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(why);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

// The library asks for these too, and does not use them.
impl<W> Read for Target<W> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<W> Seek for Target<W> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
