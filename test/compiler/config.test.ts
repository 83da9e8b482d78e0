import { readFileSync, writeFileSync } from 'node:fs';
import { toJsonSchema } from '@valibot/to-json-schema';
import { describe, expect, test } from 'vitest';
import { CompileConfigSchema, parseCompileConfig } from '../../compiler/config.ts';
import { coded } from './coded.ts';

const SCHEMA = new URL('../../docs/compile.schema.json', import.meta.url);

describe('a compile configuration', () => {
  test('may say nothing, or all of it', () => {
    expect(parseCompileConfig({}, 'c.json')).toEqual({ tensorsMax: 2 });
    const profile = { name: 'phone', weight: 1, deviceFactor: 2, roundTripMs: 40, uplinkMbps: 5 };
    const config = {
      cuts: [['a'], ['b', 'c']],
      profiles: [profile],
      fix: { sr: 16_000 },
      targets: ['wasm'],
      count: 10,
    };
    expect(parseCompileConfig(config, 'c.json')).toMatchObject({
      cuts: [['a'], ['b', 'c']],
      profiles: [{ headShareMin: 0 }],
    });
    expect(parseCompileConfig({ cuts: 3 }, 'c.json').cuts).toBe(3);
  });

  test.each([
    [{ cutz: 3 }, 'cutz'],
    [{ cuts: 0 }, 'cuts'],
    [{ cuts: [[]] }, 'cuts'],
    [{ targets: ['npu'] }, 'targets'],
    [{ profiles: [{ name: 'x' }] }, 'profiles.0'],
    [{ tensorsMax: 9 }, 'tensorsMax'],
  ])('that is wrong is refused with the field’s name (BAD_CONFIG): %j', (config, field) => {
    expect(() => parseCompileConfig(config, 'c.json')).toThrow(coded('BAD_CONFIG', field));
  });

  test('has a JSON schema for editors that says the same', () => {
    const schema = `${JSON.stringify(toJsonSchema(CompileConfigSchema, { errorMode: 'ignore' }), null, 2)}\n`;
    // UPDATE=1 npm test writes it anew.
    if (process.env['UPDATE'] === '1') writeFileSync(SCHEMA, schema);
    expect(readFileSync(SCHEMA, 'utf8')).toBe(schema);
  });
});
