import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { resolveModel } from '../../../../../coordinator/cli/options.ts';
import { describeForeign } from '../../../../../coordinator/model/gguf/foreign-file.ts';
import { ModelFile } from '../../../../../coordinator/model/gguf/model-file.ts';
import { openGguf } from '../../../../../coordinator/model/gguf/reader.ts';
import { starlingError } from '../../../../fixtures/gguf.ts';
import { temporaryFolder } from '../../../../fixtures/temporary-folder.ts';

test('M10: what is no model is said to be what it is, with what to do', async (t) => {
  const lfs = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 4920739232\n';
  const header = '{"__metadata__":{"format":"pt"},"x":{}}';
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const cases: readonly (readonly [content: string | Buffer, message: RegExp])[] = [
    ['', /is empty; download it again/],
    [Buffer.alloc(4096), /begins with zeros.*download it again/],
    ['GGU', /cut off in its first four bytes/],
    [lfs, /pointer of Git LFS.*git lfs pull/],
    ['../../.git/annex/objects/XX/SHA256E-s1--a.gguf', /pointer of git-annex/],
    ['<!DOCTYPE html>\n<html class="">', /a web page.*download the file itself/],
    ['\ufeff  <html lang="en">', /a web page/],
    ['<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /a web page/],
    ['{"error":"Repository not found"}', /the answer of a server.*Repository not found/],
    [Buffer.from(`${'x'.repeat(511)}é`).subarray(0, 512), /the answer of a server/],
    ['Entry not found', /the answer of a server.*Entry not found/],
    [Buffer.concat([length, Buffer.from(header)]), /safetensors.*convert/],
    [Buffer.from('tjgg\x03\0\0\0'), /GGML format from before GGUF/],
    [Buffer.from('PK\x03\x04\x14\0'), /zip archive.*convert/],
    [Buffer.from([0x80, 2, 0x63]), /PyTorch/],
    [gzipSync('GGUF'), /compressed \(gzip\): unpack it/],
    [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0]), /compressed \(zstd\)/],
    [Buffer.concat([Buffer.from('m.gguf'), Buffer.alloc(251), Buffer.from('ustar')]), /a tar archive/],
    [Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]), /does not begin with "GGUF"/],
  ];
  for (const [content, message] of cases) assert.match(describeForeign(Buffer.from(content)), message);
  const path = join(temporaryFolder(t), 'page.gguf');
  await writeFile(path, '<!doctype html>');
  await assert.rejects(openGguf(path), starlingError('model_not_gguf', 'page.gguf', 'web page'));
});

test('M10: a named pipe is told to be none, and not waited for', { skip: process.platform === 'win32' }, async (t) => {
  const folder = temporaryFolder(t);
  const pipe = join(folder, 'model.gguf');
  execFileSync('mkfifo', [pipe]);
  const expected = starlingError('model_file_unreadable', 'is a named pipe, not a file');
  await assert.rejects(ModelFile.open(pipe), expected);
  await assert.rejects(resolveModel(pipe), expected);
  await assert.rejects(resolveModel('/dev/null'), starlingError('model_file_unreadable', 'is a device, not a file'));
  await assert.rejects(resolveModel(folder), starlingError('model_file_unreadable', 'is a folder, not a file'));
});
