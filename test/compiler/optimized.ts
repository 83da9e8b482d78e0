/** What onnxruntime itself makes of a graph when it loads it: the operators that it runs in the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Graph } from '../../compiler/graph/graph.ts';
import { readModelFile } from '../../compiler/onnx/files.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { modelOf } from './run-graph.ts';

export async function optimizedOperators(graph: Graph, opset: number): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-optimized-'));
  try {
    const path = join(folder, 'model.onnx');
    const options = { optimizedModelFilePath: path, logSeverityLevel: 4 as const };
    await (await ort.InferenceSession.create(writeModel(modelOf(graph, opset)), options)).release();
    return readModelFile(path).graph.nodes.map(({ op }) => op);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
