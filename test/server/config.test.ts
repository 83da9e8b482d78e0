import { describe, expect, test } from 'vitest';
import { parseServerConfig } from '../../server/config.ts';
import { identify } from '../../server/credentials.ts';

const MINIMAL = { bundles: ['b'], policy: { labels: { public: 'input' } } };

describe('the configuration', () => {
  test('has a default for everything but bundles and policy', () => {
    const config = parseServerConfig(MINIMAL, 'c.json');
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8080, queueDepthMax: 64, origins: [] });
    expect(config.workers).toBeGreaterThan(0);
    // Nobody is let in by default.
    expect(() => identify(config.credentials, null)).toThrow('a token is needed');
  });

  test.each([
    [{}, 'c.json: bundles: expected Array, got nothing'],
    [{ bundles: ['b'] }, 'c.json: policy: expected Object, got nothing'],
    [{ ...MINIMAL, port: 70_000 }, 'port'],
    [{ ...MINIMAL, prot: 1 }, 'prot'],
    [{ ...MINIMAL, policy: {} }, 'c.json: policy.labels: expected Object, got nothing'],
    [{ ...MINIMAL, credentials: { tokens: [{ name: 'x', sha256: 'abc', labels: [] }] } }, 'sha256'],
    [{ ...MINIMAL, frameBytesMax: 1e9 }, 'frameBytesMax'],
  ])('that is wrong is refused with the field’s name: %j', (value, field) => {
    expect(() => parseServerConfig(value, 'c.json')).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringContaining(field) }),
    );
  });
});
