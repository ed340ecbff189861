import { registerDecorator } from 'class-validator';
import { X509Certificate } from 'node:crypto';

/** A field that must hold a certificate in PEM; said when it is given, not at the first connection. */
export function IsPemCertificate(): PropertyDecorator {
  return (target, property) =>
    registerDecorator({
      name: 'isPemCertificate',
      target: target.constructor,
      propertyName: property as string,
      validator: { validate: isPemCertificate, defaultMessage: () => 'must be a certificate in PEM' },
    });
}

function isPemCertificate(value: unknown): boolean {
  if (typeof value !== 'string' || !value.includes('-----BEGIN CERTIFICATE-----')) return false;
  try {
    return new X509Certificate(value).subject !== undefined;
  } catch {
    return false;
  }
}
