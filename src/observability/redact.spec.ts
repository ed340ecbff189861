import { describe, expect, it } from '@jest/globals';
import { createPino, JsonLogger } from './logger.js';
import { redactText, redactValue, registerSecret } from './redact.js';

const SECRET = `pl4nted's "tricky" \\ ü`;

describe('redaction by form', () => {
  it.each([
    [`host=db password=PLANTED user=x`],
    [`host=db password = 'PLANTED it\\'s' user=x`],
    [`create subscription s connection 'host=db password=''PLANTED'' user=x'`],
    [`create subscription s connection 'host=db password=PLANTED'`],
    [`postgresql://app:PLANTED@db:5432/x`],
    [`alter role app password 'PLANTED''s'`],
    [`alter role app encrypted PASSWORD 'PLANTED'`],
    [`{"password":"PLANTED","user":"x"}`],
    [`{ user: 'x', password: 'PLANTED' }`],
    [`Authorization: Bearer PLANTED0123456789`],
    [`lst_PLANTEDPLANTEDPLANTEDPLANTEDPLANTEDPLANTEDX`],
    [`alter role a password 'SCRAM-SHA-256$4096:PLANTED$PLANTED:PLANTED'`],
    [`SCRAM-SHA-256$4096:PLANTED$PLANTED:PLANTED`],
  ])('%s', (text) => {
    expect(redactText(text)).not.toContain('PLANTED');
    expect(redactText(text)).toContain('[redacted]');
  });

  it('leaves the rest alone', () => {
    for (const text of [
      'host=db user=x dbname=password_reset',
      'password authentication failed for user "x"',
      'The Authorization header holds no bearer token',
      'https://db.example:5432/path',
      'password_required = true, passwordless',
    ]) {
      expect(redactText(text)).toBe(text);
    }
  });

  it('goes through values at any depth, and takes secret fields whole', () => {
    const clean = JSON.stringify(
      redactValue({ a: [{ password: { deep: 'PLANTED' } }], tls: { ca: 'x' }, err: new Error('password=PLANTED') }),
    );
    expect(clean).not.toContain('PLANTED');
    expect(JSON.parse(clean)).toMatchObject({ a: [{ password: '[redacted]' }], tls: { ca: 'x' } });
  });
});

describe('redaction of live secrets', () => {
  it('finds them in every form they are written in', () => {
    registerSecret(SECRET);
    for (const text of [
      SECRET,
      JSON.stringify({ text: SECRET }),
      `'${SECRET.replaceAll("'", "''")}'`,
      `connection '${`x='${SECRET.replace(/(['\\])/g, '\\$1')}'`.replaceAll("'", "''")}'`,
      `postgresql://x:${encodeURIComponent(SECRET)}`,
    ]) {
      expect(redactText(text)).not.toContain('tricky');
    }
  });

  it('leaves short ones and public names to the form they stand in', () => {
    registerSecret('abc');
    registerSecret('postgres-user', ['postgres-user']);
    expect(redactText('abc at postgres-user')).toBe('abc at postgres-user');
    expect(redactText('password=abc')).toBe('password=[redacted]');
  });

  it('reaches every part of a log line, which stays JSON', () => {
    registerSecret(SECRET);
    const lines: string[] = [];
    const logger = new JsonLogger(createPino('trace', { write: (line) => void lines.push(line) }));
    logger.log(`about ${SECRET}`, { nested: { text: `x${SECRET}y`, password: 'short' } });
    logger.error(new Error(`with ${SECRET}`), 'stack text', 'Context');
    logger.warn('odd', { [SECRET]: 1, list: [SECRET] });
    for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(lines).toHaveLength(3);
    expect(lines.join('')).not.toContain('tricky');
    expect(lines.join('')).not.toContain('short');
  });
});
