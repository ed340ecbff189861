import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

type Class = new (...args: never[]) => object;

/**
 * The classes that the files below `folder` with one of the endings export. TypeORM could find them itself, but
 * imports through `eval`, whose cached code a test runner with several files in one process cannot follow.
 */
export async function exportedClasses(folder: string, endings: readonly string[]): Promise<Class[]> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => endings.some((ending) => file.endsWith(ending)) && !file.endsWith('.d.ts'))
    .sort();
  const modules = await Promise.all(
    files.map((file) => import(pathToFileURL(join(folder, file)).href) as Promise<Record<string, unknown>>),
  );
  return modules
    .flatMap((module) => Object.values(module))
    .filter((value): value is Class => typeof value === 'function');
}
