import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.js';
import { secretFile } from '../storage/secret-file.js';
import type { SecretKeyRepository } from './secret-key.repository.js';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First part of every sealed text, so that another format can follow. */
const FORMAT = 'v1';

/** Encrypts what must be stored and read again (credentials of managed servers): AES-256-GCM. */
export class SecretBox {
  private readonly encryptionKey: Buffer;
  private readonly macKey: Buffer;

  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new Error(`the secret key must have ${KEY_BYTES} bytes, has ${key.length}`);
    this.encryptionKey = derive(key, 'lockstep encryption');
    this.macKey = derive(key, 'lockstep authentication');
  }

  /**
   * The box of this installation. Its key comes from the configuration, else from a file made at first start. All
   * instances on one state database must have the same: one with another key would store what the rest cannot read.
   */
  static async open(config: Pick<Config, 'secretKey' | 'dataDir'>, keys: SecretKeyRepository): Promise<SecretBox> {
    const path = join(config.dataDir, 'secret-key');
    const stored = await keys.fingerprint();
    if (config.secretKey === null && stored !== null && !existsSync(path)) {
      throw new Error(
        `the state database holds secrets encrypted with a key that is not here: set LOCKSTEP_SECRET_KEY to it, or put its file back at ${path}`,
      );
    }
    const box = new SecretBox(config.secretKey ?? keyInFile(path));
    if ((await keys.claim(box.fingerprint)) !== box.fingerprint) {
      const source = config.secretKey === null ? path : 'LOCKSTEP_SECRET_KEY';
      throw new Error(
        `the key in ${source} is not the one the state database's secrets are encrypted with: give every instance the same LOCKSTEP_SECRET_KEY`,
      );
    }
    return box;
  }

  /** Tells keys apart without telling anything about them. */
  get fingerprint(): string {
    return this.mac('fingerprint').toString('hex').slice(0, 32);
  }

  /** @param owner what the secret belongs to; it can be opened for that owner only, so rows cannot be swapped. */
  seal(secret: string, owner: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.encryptionKey, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(owner, 'utf8'));
    const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${FORMAT}:${sealed.toString('base64')}`;
  }

  /** Throws when the text was changed, sealed with another key, or for another owner. */
  open(sealed: string, owner: string): string {
    const [format, text] = sealed.split(':');
    const bytes = Buffer.from(text ?? '', 'base64');
    if (format !== FORMAT || bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('not a sealed secret');
    const decipher = createDecipheriv(CIPHER, this.encryptionKey, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(owner, 'utf8'));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    const body = bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES);
    return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
  }

  /** A keyed hash: recognises a text again without letting anyone guess it from the database. */
  mac(text: string): Buffer {
    return createHmac('sha256', this.macKey).update(text, 'utf8').digest();
  }
}

function derive(key: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', purpose, KEY_BYTES));
}

function keyInFile(path: string): Buffer {
  const text = secretFile(path, () => randomBytes(KEY_BYTES).toString('base64'));
  const key = Buffer.from(text, 'base64');
  if (key.length !== KEY_BYTES) throw new Error(`${path} must hold ${KEY_BYTES} bytes in base64`);
  return key;
}
