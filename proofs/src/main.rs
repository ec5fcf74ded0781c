//! `lotus-proofs`: one sealing task of Filecoin, one process. README.md is the contract with whoever calls it.

mod cid;
mod cli;
mod disk;
mod failure;
mod logging;
mod params;
mod parents;
mod partial;
mod process;
mod rle;
mod tasks;
mod wire;

fn main() {
    let options = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", cli::help());
            return;
        }
        Err(why) => {
            eprintln!("ERROR: {}", logging::printable(&why));
            std::process::exit(failure::Code::BadInput as i32);
        }
    };
    logging::start(options.log);
    process::prepare(&options);
    process::finish(tasks::run(&options))
}
