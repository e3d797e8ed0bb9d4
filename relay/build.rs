//! Embeds the browser client and the demo page, where `cargo xtask build` has made them, so that the binary runs alone.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let dist = manifest.join("../client-wasm/dist");
    // A folder that is missing would count as changed at every build; an empty one is a page that was not built.
    fs::create_dir_all(&dist)?;
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut files = Vec::new();
    for folder in ["page", "client"] {
        collect(&dist.join(folder), folder, &mut files)?;
    }
    files.sort();
    let mut code = String::from("static EMBEDDED: &[Embedded] = &[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        let content = fs::read(path)?;
        let gzip = compressed(&content)?;
        let gzip = if gzip.len() < content.len() * 9 / 10 {
            let file = out.join(format!("asset-{index}.gz"));
            fs::write(&file, gzip)?;
            format!("Some(include_bytes!({:?}))", file.display().to_string())
        } else {
            "None".to_owned()
        };
        // A copy: the originals may be made anew while this build runs.
        let copy = out.join(format!("asset-{index}"));
        fs::write(&copy, content)?;
        let copy = copy.display().to_string();
        writeln!(code, "    Embedded {{ path: {name:?}, content: include_bytes!({copy:?}), gzip: {gzip} }},")?;
    }
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code)?;
    Ok(())
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

fn compressed(content: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}
