//! Groth parameters: is the file whole, and the making of new ones for test networks.
//!
//! `NAME.params` begins with the verifying key, byte for byte what `NAME.vk` holds. Its lengths tell its size,
//! so that a cut file is known without reading it all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellperson::groth16;
use blstrs::Bls12;
use filecoin_proofs::constants::DefaultPieceHasher;
use filecoin_proofs::{parameters::public_params, with_shape, MerkleTreeTrait};
use filecoin_proofs_api::RegisteredSealProof;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use storage_proofs_core::compound_proof::CompoundProof;
use storage_proofs_porep::stacked::{StackedCompound, StackedDrg};

use crate::disk::{self, Lock};
use crate::failure::{bad_input, Code, Failure, Outcome};
use crate::wire::{seal_proof, sector_size};
use crate::{logging, process};

/// Bytes of a point of each group, uncompressed.
const G1: u64 = 96;
const G2: u64 = 192;
/// The key's fixed points before its list: three of each group.
const FIXED: u64 = 3 * G1 + 3 * G2;
/// What making needs on disk; the files are 1.1 to 1.5 GB.
const NEEDED: u64 = 2 << 30;
/// Above this size the field's own parameters are the only ones of any use, and making them takes days.
const LARGEST_MADE: u64 = 512 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    proof_type: i64,
    /// Make what is missing or cut; without it only look.
    #[serde(default)]
    make: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    parameters: String,
    verifying_key: String,
    made: bool,
}

struct Files {
    parameters: PathBuf,
    key: PathBuf,
}

/// The command `params`.
pub fn run(request: Value) -> Outcome<Value> {
    let request: Request = crate::tasks::read(request)?;
    let proof = seal_proof(request.proof_type)?;
    let files = Files::of(proof)?;
    let whole = files.check_parameters().and_then(|()| files.check_key());
    let made = match whole {
        Ok(()) => false,
        Err(why) if !request.make => return Err(why),
        Err(why) => make(proof, &files, &why)?,
    };
    let (parameters, verifying_key) = (process::shown(&files.parameters), process::shown(&files.key));
    let report = Report { parameters, verifying_key, made };
    Ok(serde_json::to_value(report).expect("plain data"))
}

/// For commit2: the parameters are there and whole.
pub fn check_parameters(proof: RegisteredSealProof) -> Outcome<()> {
    let files = Files::of(proof)?;
    files.check_parameters()?;
    // Commit2 verifies what it made, with the key beside the parameters; one that is not theirs is replaced.
    files.check_key().or_else(|_| files.key_from_parameters())
}

/// For verify: the key is there and whole; taken from the parameters if only they are.
pub fn check_key(proof: RegisteredSealProof) -> Outcome<()> {
    let files = Files::of(proof)?;
    files.check_key().or_else(|missing| {
        files.check_parameters().map_err(|_| missing)?;
        files.key_from_parameters()
    })
}

impl Files {
    fn of(proof: RegisteredSealProof) -> Outcome<Files> {
        let library = |why: anyhow::Error| Failure::of_library("parameters", &why);
        Ok(Files {
            parameters: proof.cache_params_path().map_err(library)?,
            key: proof.cache_verifying_key_path().map_err(library)?,
        })
    }

    fn check_parameters(&self) -> Outcome<()> {
        check_file(&self.parameters, parameters_end)
    }

    /// Whole, and the key of the parameters beside it where there are some.
    fn check_key(&self) -> Outcome<()> {
        check_file(&self.key, key_end)?;
        let prefix = self.key_in_parameters();
        if prefix.is_some_and(|prefix| fs::read(&self.key).ok() != Some(prefix)) {
            return Err(missing(&self.key, "does not belong to the parameters beside it"));
        }
        Ok(())
    }

    fn key_in_parameters(&self) -> Option<Vec<u8>> {
        self.check_parameters().ok()?;
        let mut file = File::open(&self.parameters).ok()?;
        let end = key_end(&mut file).ok()?;
        file.rewind().ok()?;
        let mut key = vec![0; end as usize];
        file.read_exact(&mut key).ok()?;
        Some(key)
    }

    fn key_from_parameters(&self) -> Outcome<()> {
        let key = self.key_in_parameters().ok_or_else(|| missing(&self.parameters, "cannot be read"))?;
        logging::info("taking the verifying key from the parameters", json!({"file": process::shown(&self.key)}));
        disk::write_whole(&self.key, &key)
    }
}

fn missing(path: &Path, why: &str) -> Failure {
    let message = format!(
        "{} {why}; FIL_PROOFS_PARAMETER_CACHE names the folder; \
         `lotus-proofs params` makes them for test networks, `lotus fetch-params` gets the field's own",
        path.display()
    );
    Failure::new(Code::NoParameters, message)
}

fn check_file(path: &Path, end: fn(&mut File) -> io::Result<u64>) -> Outcome<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Err(missing(path, "is missing")),
        Err(why) => return Err(missing(path, &format!("cannot be read ({why})"))),
    };
    let length = file.metadata().map_err(|why| Failure::of_io(path.display(), &why))?.len();
    match end(&mut file) {
        Ok(expected) if expected == length => Ok(()),
        Ok(expected) => Err(missing(path, &format!("is cut: {length} of {expected} bytes"))),
        Err(_) => Err(missing(path, &format!("is cut: {length} bytes"))),
    }
}

fn key_end(file: &mut File) -> io::Result<u64> {
    list_end(file, FIXED, G1)
}

fn parameters_end(file: &mut File) -> io::Result<u64> {
    // After the key: h, l, a, b in the first group, b in the second.
    let mut end = key_end(file)?;
    for point in [G1, G1, G1, G1, G2] {
        end = list_end(file, end, point)?;
    }
    Ok(end)
}

/// The end of a list of points that begins with its length (four bytes, big endian).
fn list_end(file: &mut File, start: u64, point: u64) -> io::Result<u64> {
    let mut length = [0; 4];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut length)?;
    match u32::from_be_bytes(length) {
        // No circuit has an empty list: these are zeros that were never written over.
        0 => Err(io::ErrorKind::InvalidData.into()),
        count => Ok(start + 4 + u64::from(count) * point),
    }
}

/// Makes parameters in a folder of its own, then renames; `false` when another process did meanwhile.
fn make(proof: RegisteredSealProof, files: &Files, why: &Failure) -> Outcome<bool> {
    if sector_size(proof) > LARGEST_MADE {
        return bad_input(format!("{}: parameters of this size are not made here", why.message));
    }
    let folder = files.parameters.parent().expect("a file in a folder").to_path_buf();
    disk::make_folder(&folder)?;
    let lock = folder.join(format!("lotus-proofs-params-{}.lock", sector_size(proof)));
    let _lock = Lock::wait(&lock, "making these parameters")?;
    if files.check_parameters().is_ok() {
        return files.check_key().or_else(|_| files.key_from_parameters()).map(|()| false);
    }
    disk::need(&[(&folder, NEEDED)])?;
    logging::warn(
        "making Groth parameters: FOR TEST NETWORKS ONLY, whoever makes them can forge proofs",
        json!({"file": process::shown(&files.parameters), "why": why.message}),
    );
    let scratch = disk::scratch(&folder)?;
    let new = with_shape!(sector_size(proof), write_new, proof, &scratch)?;
    let note = json!({"MadeBy": "lotus-proofs", "At": logging::now(), "For": "test networks only"});
    disk::write_whole(&files.parameters.with_extension("test-network-only.json"), format!("{note}\n").as_bytes())?;
    fs::rename(&new, &files.parameters).map_err(|why| Failure::of_io(files.parameters.display(), &why))?;
    disk::sync_folder_of(&files.parameters);
    // Whatever key stood there belongs to other parameters.
    files.key_from_parameters()?;
    Ok(true)
}

/// The circuit without values, random numbers from the system, and the file that comes of them.
fn write_new<Tree: 'static + MerkleTreeTrait>(proof: RegisteredSealProof, folder: &Path) -> Outcome<PathBuf> {
    let library = |why: anyhow::Error| Failure::of_library("making parameters", &why);
    let public = public_params::<Tree>(&proof.as_v1_config()).map_err(library)?;
    type Compound<Tree> = StackedCompound<Tree, DefaultPieceHasher>;
    type Scheme<'a, Tree> = StackedDrg<'a, Tree, DefaultPieceHasher>;
    let circuit = <Compound<Tree> as CompoundProof<Scheme<'_, Tree>, _>>::blank_circuit(&public);
    tell_progress();
    let made =
        groth16::generate_random_parameters::<Bls12, _, _>(circuit, &mut OsRng).map_err(|why| library(why.into()))?;
    let path = folder.join("params");
    let write = || -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        made.write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()
    };
    logging::info("writing the parameters", process::usage());
    write().map_err(|why| Failure::of_io(path.display(), &why))?;
    check_file(&path, parameters_end)?;
    Ok(path)
}

/// A line every half minute; the work itself says nothing for minutes.
fn tell_progress() {
    std::thread::spawn(|| loop {
        std::thread::sleep(Duration::from_secs(30));
        logging::info("still making parameters", process::usage());
    });
}
