//! Measures what a user feels, ours and the peer's in one run, and prints one table of medians and ratios.
//!
//! Figures of one run on one machine may be compared with each other and with nothing else.

mod measure;
mod moving;
mod sizes;
mod subject;
mod table;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use subject::Subject;
use table::Table;

const HELP: &str = "\
Usage: bench [--quick] [--peer PROGRAM --peer-home DIR] [--drawers COUNT] [--sizes COUNT,COUNT,…]
             [--tools COUNT [--records COUNT] [--peer-filled PALACE]] [--hash] [--moving PALACE]

Measures palace-mcp and palaced of target/release (build them first), and mempalace-mcp beside them.
  --quick           fewer repetitions
  --peer PROGRAM    the peer's mempalace-mcp
  --peer-home DIR   a home folder with the peer's model in .cache/chroma/onnx_models
  --drawers COUNT   drawers stored before searches are measured, 1000 by default
  --tools COUNT     measure every tool, and a mix of them, in a palace of that many drawers, and nothing else
  --peer-filled PALACE
                    a palace that tests/upstream/fill.py filled with those COUNT drawers; the peer gets a copy instead
                    of being filled through its server
  --moving PALACE   measure import, export, backup, verify and restarts with a palace of MemPalace, and nothing else;
                    tests/upstream/synthetic.py makes large ones
  --records COUNT   facts, events and diary entries that are there when tools are measured, 500 by default
  --hash            measure the test programs beside this one, which embed without a model: large palaces are filled
                    quickly, and nothing is found by meaning
  --sizes COUNTS    palace sizes to measure the same calls at, ascending; the peer is measured up to --drawers
";

/// What the command line asks for.
pub struct Options {
    quick: bool,
    peer: Option<PathBuf>,
    peer_home: Option<PathBuf>,
    drawers: usize,
    sizes: Vec<usize>,
    tools: Option<usize>,
    peer_filled: Option<PathBuf>,
    moving: Option<PathBuf>,
    records: usize,
    hash: bool,
}

fn main() -> ExitCode {
    let options = match read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            table::say(&format!("{message}\n{HELP}"));
            return ExitCode::from(2);
        }
    };
    let mut table = Table::default();
    let release = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let ours = if options.hash { Subject::hashing() } else { Subject::ours(&release) };
    measure::all(&ours, &options, &mut table);
    if let Some(program) = &options.peer {
        let peer = Subject::peer(program, options.peer_home.as_deref(), options.peer_filled.as_deref());
        measure::all(&peer, &options, &mut table);
    }
    table.print();
    ExitCode::SUCCESS
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        quick: false,
        peer: None,
        peer_home: None,
        drawers: 1_000,
        sizes: Vec::new(),
        tools: None,
        peer_filled: None,
        moving: None,
        records: 500,
        hash: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--hash" => options.hash = true,
            "--records" => {
                options.records = value()?.parse().map_err(|_| "--records takes a number".to_owned())?
            }
            "--peer" => options.peer = Some(value()?.into()),
            "--peer-home" => options.peer_home = Some(value()?.into()),
            "--peer-filled" => options.peer_filled = Some(value()?.into()),
            "--moving" => options.moving = Some(value()?.into()),
            "--drawers" => {
                options.drawers = value()?.parse().map_err(|_| "--drawers takes a number".to_owned())?
            }
            "--tools" => {
                options.tools = Some(value()?.parse().map_err(|_| "--tools takes a number".to_owned())?)
            }
            "--sizes" => {
                let counts: Result<Vec<usize>, _> = value()?.split(',').map(str::parse).collect();
                options.sizes = counts
                    .ok()
                    .filter(|sizes| {
                        sizes.first() > Some(&0) && sizes.is_sorted_by(|before, after| before < after)
                    })
                    .ok_or("--sizes takes ascending numbers, as in 1000,10000")?;
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}
