#!/usr/bin/env node
// What `gyr bench --json` measures, of llama.cpp: the build of it that the npm package node-llama-cpp brings.
// bench/compare runs both; alone:
//
//     NODE_PATH=.../node_modules node bench/llama.mjs [-t N] [-p N] [-n N] [-b 1,16] [--repeat N] MODEL.gguf
//
// An object a line, one for each number of sequences.
import {createRequire} from "node:module";
import {basename, join} from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values, positionals: [path]} = parseArgs({
  allowPositionals: true,
  options: {
    threads: {type: "string", short: "t", default: "1"},
    prompt: {type: "string", short: "p", default: "512"},
    generate: {type: "string", short: "n", default: "32"},
    batch: {type: "string", short: "b", default: "1,4,16"},
    repeat: {type: "string", default: "3"},
  },
});
const threads = Number(values.threads), prompt = Number(values.prompt), generate = Number(values.generate);
const repeat = Number(values.repeat);

function middle(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

async function rate(tokens, work) {
  const start = process.hrtime.bigint();
  const done = await work();
  return (done ?? tokens) / (Number(process.hrtime.bigint() - start) / 1e9);
}

// The package is found as CommonJS would find it, NODE_PATH included, which import does not look at.
const {getLlama, LlamaLogLevel} = await import(
  pathToFileURL(createRequire(join(process.cwd(), "here.js")).resolve("node-llama-cpp")).href);
const llama = await getLlama({
  gpu: false, build: "never", skipDownload: true, maxThreads: threads, logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({modelPath: path, gpuLayers: 0});
const vocab = model.fileInfo.metadata.tokenizer.ggml.tokens.length;

// The tokens that gyr bench feeds: ids past the vocabulary make llama.cpp's evaluation fail.
const promptOf = (sequence) =>
  Array.from({length: prompt}, (_, i) => (((i + sequence) * 7919) % 20000 + 100) % vocab);

// Greedy, the end of an answer ignored; resolves to the tokens made.
async function write(sequence) {
  let made = 0;
  for await (const token of sequence.evaluate([5], {temperature: 0, yieldEogToken: true}))
    if (token !== undefined && ++made >= generate) break;
  return made;
}

async function measure(width) {
  const context = await model.createContext({
    sequences: width, contextSize: prompt + generate + 8, batchSize: Math.max(512, width), threads,
    flashAttention: true,
  });
  const sequences = Array.from({length: width}, () => context.getSequence());
  const prefill = [], decode = [];
  for (let i = 0; i < repeat; i++) {
    for (const sequence of sequences) await sequence.clearHistory();
    if (prompt) prefill.push(await rate(width * prompt, async () => {
      await Promise.all(sequences.map((s, k) => s.evaluateWithoutGeneratingNewTokens(promptOf(k))));
    }));
    if (generate) decode.push(await rate(0, async () =>
      (await Promise.all(sequences.map(write))).reduce((sum, made) => sum + made, 0)));
  }
  await context.dispose();
  return {
    engine: "llama.cpp", version: llama.llamaCppRelease.release, model: basename(path), threads, sequences: width,
    prompt, generate, repeats: repeat,
    ...(prompt ? {prefill_tokens_per_s: middle(prefill)} : {}),
    ...(generate ? {decode_tokens_per_s: middle(decode)} : {}),
  };
}

for (const width of values.batch.split(",").map(Number)) console.log(JSON.stringify(await measure(width)));
process.exit(0);
