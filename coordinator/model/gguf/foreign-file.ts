import { shown } from './shown.ts';

/** How much of a file's beginning tells what it is: a tar archive says so at byte 257. */
export const FOREIGN_BYTES = 512;

interface Kind {
  /** What the file is, for "the file is …", and what to do about it. */
  readonly message: string;
  /** @param text the beginning as Latin-1, a character a byte */
  readonly matches: (text: string) => boolean;
}

const starts =
  (...magics: readonly string[]) =>
  (text: string): boolean =>
    magics.some((magic) => text.startsWith(magic));

const unpack = 'unpack it, and name the .gguf file inside';
const convert = 'convert it first, for example with convert_hf_to_gguf.py of llama.cpp, or get the model as .gguf';
const itself =
  "download the file itself: on Hugging Face, by the download arrow beside it, whose address has '/resolve/' in it";

/** What people give for a model, by how it begins; the first that matches. */
const KINDS: readonly Kind[] = [
  { matches: (text) => text === '', message: 'is empty; download it again' },
  {
    matches: (text) => /^\0+$/.test(text),
    message: 'begins with zeros, as a download that is not finished does; download it again',
  },
  { matches: (text) => 'GGUF'.startsWith(text), message: `is cut off in its first four bytes; download it again` },
  {
    matches: starts('version https://git-lfs.github.com/spec/', 'version https://hawser.github.com/spec/'),
    message: `is a pointer of Git LFS, which stands for the model: run "git lfs pull" in its folder, or ${itself}`,
  },
  {
    matches: (text) => /^(\.\.\/|\/)[^\n]*annex\/objects\//.test(text),
    message: 'is a pointer of git-annex, which stands for the model: run "git annex get" on it',
  },
  {
    matches: (text) => /^(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<body|<\?xml|<!--)/i.test(text),
    message: `is a web page, not the model that the page is about: ${itself}`,
  },
  {
    matches: (text) => /^.{8}\{\s*"/s.test(text) && !/^\s*[{[]/.test(text),
    message: `is a safetensors file, not GGUF: ${convert}`,
  },
  {
    matches: starts('lmgg', 'fmgg', 'tjgg', 'algg', 'ggml', 'ggmf', 'ggjt', 'ggla'),
    message: 'is of the GGML format from before GGUF (2023): get the model as .gguf',
  },
  {
    matches: starts('PK\x03\x04', '\x80\x02', '\x80\x03', '\x80\x04'),
    message: `is a PyTorch checkpoint or a zip archive, not GGUF: unpack it or ${convert}`,
  },
  { matches: starts('\x1f\x8b'), message: `is compressed (gzip): ${unpack}` },
  { matches: starts('\x28\xb5\x2f\xfd'), message: `is compressed (zstd): ${unpack}` },
  { matches: starts('\xfd7zXZ'), message: `is compressed (xz): ${unpack}` },
  { matches: starts('BZh'), message: `is compressed (bzip2): ${unpack}` },
  { matches: starts('7z\xbc\xaf', 'Rar!'), message: `is an archive: ${unpack}` },
  { matches: (text) => text.startsWith('ustar', 257), message: `is a tar archive: ${unpack}` },
  { matches: starts('\x89HDF'), message: `is an HDF5 file, not GGUF: ${convert}` },
];

/**
 * What a file is that does not begin as a GGUF file does, and what to do: people give the page about a model, a pointer
 * to it, or the model in another format.
 * @param beginning its first bytes, up to FOREIGN_BYTES
 * @returns a sentence about "the file"
 */
export function describeForeign(beginning: Uint8Array): string {
  const bytes = Buffer.from(beginning.buffer, beginning.byteOffset, beginning.length);
  const kind = KINDS.find(({ matches }) => matches(bytes.toString('latin1')));
  if (kind !== undefined) return `the file ${kind.message}`;
  // The last character may be cut, by up to three bytes.
  const text = bytes.toString('utf8').replace(/\ufffd{1,3}$/, '');
  if (!/[^\P{Cc}\s]/u.test(text) && !text.includes('\ufffd')) {
    return `the file is text, not a model, perhaps the answer of a server that refused it ("${shown(text.trim())}"): ${itself}`;
  }
  return 'the file does not begin with "GGUF", so it is no GGUF model: name a .gguf file (other formats must be converted first)';
}
