import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { SecretBox } from './secret-box.js';

describe('secret box', () => {
  const box = new SecretBox(randomBytes(32));

  it.each(['', 'plain', `it's "quoted" \\ ü 🐘`, 'x'.repeat(10_000)])('opens what it sealed', (secret) => {
    expect(box.open(box.seal(secret, 'server a'), 'server a')).toBe(secret);
  });

  it('never seals twice alike', () => {
    expect(box.seal('same', 'a')).not.toBe(box.seal('same', 'a'));
  });

  it('opens for no other owner, with no other key, and nothing that was changed', () => {
    const sealed = box.seal('secret', 'server a');
    expect(() => box.open(sealed, 'server b')).toThrow();
    expect(() => new SecretBox(randomBytes(32)).open(sealed, 'server a')).toThrow();
    const bytes = Buffer.from(sealed.slice(3), 'base64');
    for (const at of [0, 12, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      expect(() => box.open(`v1:${changed.toString('base64')}`, 'server a')).toThrow();
    }
    expect(() => box.open(`v1:${bytes.subarray(0, 20).toString('base64')}`, 'server a')).toThrow('not a sealed secret');
    expect(() => box.open(sealed.replace('v1', 'v2'), 'server a')).toThrow('not a sealed secret');
  });

  it('tells keys apart by a fingerprint that is not the key', () => {
    const key = randomBytes(32);
    const { fingerprint } = new SecretBox(key);
    expect(fingerprint).toBe(new SecretBox(Buffer.from(key)).fingerprint);
    expect(fingerprint).not.toBe(box.fingerprint);
    expect(key.toString('hex')).not.toContain(fingerprint);
  });

  it('refuses a key of another length', () => {
    expect(() => new SecretBox(randomBytes(16))).toThrow('32 bytes');
  });
});
