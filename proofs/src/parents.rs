//! The parent cache: a big file, the same for every sector of a proof type, that labeling reads.
//!
//! The library takes a file of full size on trust: one that a killed process left zeroed makes every sector
//! wrong until Commit1, a short one ends the process with SIGBUS. So it is checked here, once for each file:
//! what was checked is remembered beside it, under its size, time and inode.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use filecoin_hashers::Hasher;
use filecoin_proofs::{parameters::public_params, with_shape, MerkleTreeTrait, PoRepConfig};
use filecoin_proofs_api::RegisteredSealProof;
use serde_json::json;
use sha2::{Digest, Sha256};
use storage_proofs_core::crypto::{derive_porep_domain_seed, FEISTEL_DST};
use storage_proofs_core::drgraph::Graph;
use storage_proofs_core::parameter_cache::{ParameterSetMetadata, VERSION};
use storage_proofs_core::settings::SETTINGS;

use crate::disk::{self, Lock};
use crate::failure::{Code, Failure, Outcome};
use crate::logging;
use crate::process::shown;
use crate::wire::sector_size;

/// Bytes of parents for each node of 32 bytes: six and eight of four bytes.
const NODE: u64 = 56;

/// Sees to it that the parent cache of this proof type is there and right.
///
/// Every process that labels comes through here, one at a time for each folder and size, so that none reads a
/// file that another is about to throw away.
pub fn ensure(proof: RegisteredSealProof) -> Outcome<()> {
    with_shape!(sector_size(proof), ensure_shape, proof)
}

fn ensure_shape<Tree: 'static + MerkleTreeTrait>(proof: RegisteredSealProof) -> Outcome<()> {
    let config = proof.as_v1_config();
    let params = public_params::<Tree>(&config).map_err(|why| Failure::of_library("parent cache", &why))?;
    let entries = params.graph.size() as u64;
    let length = entries * NODE;
    let path = path_of::<Tree::Hasher>(&config, &params.graph.identifier(), entries as u32);
    let folder = PathBuf::from(&SETTINGS.parent_cache);
    disk::make_folder(&folder)?;
    let lock = folder.join(format!("lotus-proofs-parents-{}.lock", sector_size(proof)));
    let _lock = Lock::wait(&lock, "the parent cache")?;

    if checked_before(&path, length) {
        return Ok(());
    }
    remove_if_cut(&path, length)?;
    let was_there = path.exists();
    if !was_there {
        disk::need(&[(&folder, length)])?;
        logging::info(
            "making the parent cache; once for each proof type",
            json!({"file": shown(&path), "bytes": length}),
        );
    }
    let open = || params.graph.parent_cache().map_err(|why| Failure::of_library("parent cache", &why));
    let cache = open()?;
    if cache.path != path {
        let message = format!("parent cache: expected {}, the library uses {}", path.display(), cache.path.display());
        return Err(Failure::new(Code::Failed, message));
    }
    // A file just made was hashed by the library; the digest of an old one is what the field published, or "".
    if was_there && digest(&path)? != cache.digest {
        drop(cache);
        logging::warn("the parent cache is not what it must be; making it again", json!({"file": shown(&path)}));
        disk::remove_if_there(&path)?;
        open()?;
    }
    remember(&path)
}

/// The library's own name for the file (`storage-proofs-porep`, `stacked/vanilla/cache.rs`).
fn path_of<H: Hasher>(config: &PoRepConfig, graph: &str, entries: u32) -> PathBuf {
    // The seed is four feistel keys in little endian one after the other, which is how they are hashed.
    let hash = Sha256::new()
        .chain_update(H::name())
        .chain_update(graph)
        .chain_update(derive_porep_domain_seed(FEISTEL_DST, config.porep_id))
        .chain_update(entries.to_le_bytes())
        .finalize();
    Path::new(&SETTINGS.parent_cache).join(format!("v{VERSION}-sdr-parent-{}.cache", hex(&hash)))
}

fn remove_if_cut(path: &Path, length: u64) -> Outcome<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    // A stock worker may be making it this moment: it holds this lock, and sets the length under it.
    disk::lock(&file, libc::LOCK_SH).map_err(|why| Failure::of_io(path.display(), &why))?;
    let found = file.metadata().map_err(|why| Failure::of_io(path.display(), &why))?.len();
    if found != length {
        let members = json!({"file": shown(path), "bytes": found, "expected": length});
        logging::warn("the parent cache is cut; making it again", members);
        disk::remove_if_there(path)?;
    }
    Ok(())
}

fn digest(path: &Path) -> Outcome<String> {
    logging::info("checking the parent cache; once for each file", json!({"file": shown(path)}));
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hasher.finalize())),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    read().map_err(|why| Failure::of_io(path.display(), &why))
}

fn checked_before(path: &Path, length: u64) -> bool {
    let Some(state) = state_of(path).filter(|_| !SETTINGS.verify_cache) else { return false };
    fs::metadata(path).is_ok_and(|file| file.len() == length)
        && fs::read_to_string(path.with_extension("checked")).is_ok_and(|text| text == state)
}

fn remember(path: &Path) -> Outcome<()> {
    match state_of(path) {
        Some(state) => disk::write_whole(&path.with_extension("checked"), state.as_bytes()),
        None => Ok(()),
    }
}

fn state_of(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    Some(format!("{} {}.{:09} {}\n", file.len(), file.mtime(), file.mtime_nsec(), file.ino()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
