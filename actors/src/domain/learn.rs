//! Taking over what was said of the person and the job: from a fact, which may say a part; from the ATS, which says all; from what
//! was heard before the application came. Each field by its own time (see `versions.rs`).

use super::{
    Dossier, Heard, Policy, RecruiterSource, Snapshot,
    versions::{Aspect, Field, Mark},
};
use atshub_schemas::fact::{Candidate, Follower, Job, Person, Phone};
use jiff::Timestamp;

/// What a fact says, as far as it says it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub candidate: Option<&'a Candidate>,
    pub job: Option<&'a Job>,
    pub recruiter: Option<&'a Person>,
    pub grader: Option<&'a Person>,
}

/// The record that hears: a dossier's parts, or what is kept of a subject.
struct Record<'a> {
    candidate: &'a mut Candidate,
    recruiter: &'a mut Option<Person>,
    grader: &'a mut Option<Person>,
    job: &'a mut Job,
    person_times: &'a mut Aspect,
    job_times: &'a mut Aspect,
}

/// A blank phone is a phone that is known to be none.
fn phone(said: &Phone) -> Option<Phone> {
    (!said.as_str().is_empty()).then(|| said.clone())
}

/// A person without any datum says that there is none.
fn somebody(said: &Person) -> Option<Person> {
    (*said != Person::default()).then(|| said.clone())
}

fn some<T: Clone>(said: Option<&T>) -> Option<Option<T>> {
    said.map(|said| Some(said.clone()))
}

impl Record<'_> {
    fn hear(&mut self, said: Said<'_>, mark: Mark, now: Timestamp) {
        let person = said.candidate;
        self.person_times.hear(
            mark,
            now,
            &mut [
                &mut Field { name: "id", kept: &mut self.candidate.id, said: some(person.and_then(|c| c.id.as_ref())) },
                &mut Field { name: "name", kept: &mut self.candidate.name, said: some(person.and_then(|c| c.name.as_ref())) },
                &mut Field { name: "email", kept: &mut self.candidate.email, said: some(person.and_then(|c| c.email.as_ref())) },
                &mut Field { name: "phone", kept: &mut self.candidate.phone, said: person.and_then(|c| c.phone.as_ref()).map(phone) },
                &mut Field {
                    name: "profile_url",
                    kept: &mut self.candidate.profile_url,
                    said: some(person.and_then(|c| c.profile_url.as_ref())),
                },
                &mut Field { name: "recruiter", kept: self.recruiter, said: said.recruiter.map(somebody) },
                &mut Field { name: "grader", kept: self.grader, said: said.grader.map(somebody) },
            ],
        );
        if let Some(job) = said.job {
            self.hear_job(job, false, mark, now);
        }
    }

    /// `whole`: what the job does not say, it does not have.
    fn hear_job(&mut self, said: &Job, whole: bool, mark: Mark, now: Timestamp) {
        if let (Some(heard), Some(kept)) = (&said.id, &self.job.id)
            && heard != kept
        {
            let known_at = self.job_times.time_of("id", true);
            if known_at.is_some_and(|time| !Mark { time, ..mark }.gives_way_to(mark.time, now)) {
                return; // it is at another job since
            }
            (*self.job, *self.job_times) = (Job::default(), Aspect::default());
        }
        let mut followers = (!self.job.followers.is_empty()).then(|| std::mem::take(&mut self.job.followers));
        let named = |people: &[Follower]| (whole || !people.is_empty()).then(|| (!people.is_empty()).then(|| people.to_vec()));
        let role = if whole { Some(said.role.clone()) } else { some(said.role.as_ref()) };
        self.job_times.hear(
            mark,
            now,
            &mut [
                &mut Field { name: "id", kept: &mut self.job.id, said: some(said.id.as_ref()) },
                &mut Field { name: "title", kept: &mut self.job.title, said: some(said.title.as_ref()) },
                &mut Field { name: "role", kept: &mut self.job.role, said: role },
                &mut Field { name: "recruiter", kept: &mut self.job.recruiter, said: said.recruiter.as_ref().map(somebody) },
                &mut Field { name: "followers", kept: &mut followers, said: named(&said.followers) },
            ],
        );
        self.job.followers = followers.unwrap_or_default();
    }

    /// Takes over what another record has, each field by the time at which it was said there.
    fn absorb(&mut self, other: &Heard, now: Timestamp) {
        let received_at = other.updated_at;
        let said_at = |aspect: &Aspect, name: &str, known: bool| aspect.time_of(name, known).map(|time| Mark { time, received_at });
        let c = &other.candidate;
        let blank = Phone::try_from(String::new()).ok();
        let none = Person::default();
        let person = &other.versions.person;
        let one = Candidate::default();
        let parts: [(&str, bool, Candidate); 5] = [
            ("id", c.id.is_some(), Candidate { id: c.id.clone(), ..one.clone() }),
            ("name", c.name.is_some(), Candidate { name: c.name.clone(), ..one.clone() }),
            ("email", c.email.is_some(), Candidate { email: c.email.clone(), ..one.clone() }),
            ("phone", c.phone.is_some(), Candidate { phone: c.phone.clone().or(blank), ..one.clone() }),
            ("profile_url", c.profile_url.is_some(), Candidate { profile_url: c.profile_url.clone(), ..one }),
        ];
        for (name, known, part) in &parts {
            if let Some(mark) = said_at(person, name, *known) {
                self.hear(Said { candidate: Some(part), ..Said::default() }, mark, now);
            }
        }
        if let Some(mark) = said_at(person, "recruiter", other.recruiter.is_some()) {
            self.hear(Said { recruiter: Some(other.recruiter.as_ref().unwrap_or(&none)), ..Said::default() }, mark, now);
        }
        if let Some(mark) = said_at(person, "grader", other.grader.is_some()) {
            self.hear(Said { grader: Some(other.grader.as_ref().unwrap_or(&none)), ..Said::default() }, mark, now);
        }
        let j = &other.job;
        let with_id = Job { id: j.id.clone(), ..Job::default() };
        let parts: [(&str, bool, Job); 5] = [
            ("id", j.id.is_some(), with_id.clone()),
            ("title", j.title.is_some(), Job { title: j.title.clone(), ..with_id.clone() }),
            ("role", j.role.is_some(), Job { role: j.role.clone(), ..with_id.clone() }),
            ("recruiter", j.recruiter.is_some(), Job { recruiter: j.recruiter.clone().or(Some(none.clone())), ..with_id.clone() }),
            ("followers", !j.followers.is_empty(), Job { followers: j.followers.clone(), ..with_id }),
        ];
        for (name, known, part) in &parts {
            if let Some(mark) = said_at(&other.versions.job, name, *known) {
                self.hear(Said { job: Some(part), ..Said::default() }, mark, now);
            }
        }
    }
}

impl Dossier {
    fn record(&mut self) -> Record<'_> {
        Record {
            candidate: &mut self.candidate,
            recruiter: &mut self.recruiter,
            grader: &mut self.grader,
            job: &mut self.job,
            person_times: &mut self.versions.person,
            job_times: &mut self.versions.job,
        }
    }

    /// Takes over what a fact says.
    pub(super) fn hear(&mut self, said: Said<'_>, mark: Mark, now: Timestamp) {
        self.record().hear(said, mark, now);
    }

    /// Takes over what was heard of a subject before.
    pub(super) fn absorb(&mut self, heard: &Heard, now: Timestamp) {
        // What was heard of another job than this application's says nothing of it.
        let other_job = matches!((&heard.job.id, &self.job.id), (Some(theirs), Some(ours)) if theirs != ours);
        if !other_job {
            self.record().absorb(heard, now);
        }
    }

    /// Takes over the application as the ATS has it now. The record is whole: a phone or a role that it does not name is not there.
    pub(super) fn hear_whole(&mut self, snapshot: &Snapshot, mark: Mark, now: Timestamp) {
        let blank = Phone::try_from(String::new()).ok();
        let candidate = Candidate { phone: snapshot.candidate.phone.clone().or(blank), ..snapshot.candidate.clone() };
        let said =
            Said { candidate: Some(&candidate), job: None, recruiter: snapshot.recruiter.as_ref(), grader: snapshot.grader.as_ref() };
        let mut record = self.record();
        record.hear(said, mark, now);
        record.hear_job(&snapshot.job, true, mark, now);
        self.application.url = snapshot.application.url.clone().or(self.application.url.take());
    }

    /// The recruiter, from the first source of the tenant's list that names one (B15).
    #[must_use]
    pub fn recruiter_by(&self, policy: &Policy) -> Option<&Person> {
        policy.recruiter_from.iter().find_map(|source| match source {
            RecruiterSource::Candidate => self.recruiter.as_ref(),
            RecruiterSource::Grader => self.grader.as_ref(),
            RecruiterSource::Job => self.job.recruiter.as_ref(),
        })
    }
}

impl Heard {
    /// Takes over what a fact says.
    pub(super) fn hear(&mut self, said: Said<'_>, mark: Mark, now: Timestamp) {
        Record {
            candidate: &mut self.candidate,
            recruiter: &mut self.recruiter,
            grader: &mut self.grader,
            job: &mut self.job,
            person_times: &mut self.versions.person,
            job_times: &mut self.versions.job,
        }
        .hear(said, mark, now);
    }

    /// Takes over what was heard of another subject that turned out to be the same.
    pub(super) fn absorb(&mut self, other: &Self, now: Timestamp) {
        let id = self.candidate.id.clone();
        Record {
            candidate: &mut self.candidate,
            recruiter: &mut self.recruiter,
            grader: &mut self.grader,
            job: &mut self.job,
            person_times: &mut self.versions.person,
            job_times: &mut self.versions.job,
        }
        .absorb(other, now);
        self.candidate.id = id;
    }
}
